//! Counting consecutive results until they decide.

/// Consecutive results against the present state. Pure.
#[derive(Debug)]
pub(super) struct Streak {
    rise: u32,
    fall: u32,
    decided: bool,
    against: u32,
}

impl Streak {
    /// Nothing counted yet; `decided`: an earlier result stands, so the first one alone does not decide.
    pub(super) fn new(rise: u32, fall: u32, decided: bool) -> Self {
        Self { rise, fall, decided, against: 0 }
    }

    /// Whether the next result alone decides.
    pub(super) fn is_fresh(&self) -> bool {
        !self.decided
    }

    /// Forgets everything: the next result alone decides.
    pub(super) fn restart(&mut self) {
        self.decided = false;
        self.against = 0;
    }

    /// Whether the backend is on its way up or down.
    pub(super) fn is_turning(&self) -> bool {
        self.against > 0
    }

    /// Takes one result for a backend that is up or not, and gives back what it is then.
    pub(super) fn feed(&mut self, is_up: bool, passed: bool) -> bool {
        if !self.decided || passed == is_up {
            // A result that fits ends the streak: only consecutive ones count.
            self.decided = true;
            self.against = 0;
            return passed;
        }
        self.against += 1;
        let needed = if passed { self.rise } else { self.fall };
        if self.against < needed {
            return is_up;
        }
        self.against = 0;
        passed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn walk(streak: &mut Streak, start: bool, results: &str) -> String {
        let mut up = start;
        let step = |result| {
            up = streak.feed(up, result == '+');
            if up { 'U' } else { 'd' }
        };
        results.chars().map(step).collect()
    }

    #[test]
    fn the_story() {
        // The first alone decides, whatever was assumed.
        assert_eq!(walk(&mut Streak::new(2, 3, false), true, "-"), "d");
        assert_eq!(walk(&mut Streak::new(2, 3, false), false, "+"), "U");
        // Then three in a row take it down and two in a row bring it up.
        assert_eq!(walk(&mut Streak::new(2, 3, false), true, "+--+---+-++"), "UUUUUUddddU");
        // A check that changed goes on with what the old one found.
        assert_eq!(walk(&mut Streak::new(2, 3, true), true, "--+---"), "UUUUUd");
        assert_eq!(walk(&mut Streak::new(1, 1, false), true, "+-+-"), "UdUd");
    }

    proptest! {
        #[test]
        fn no_change_without_enough_in_a_row(
            results in prop::collection::vec(any::<bool>(), 1..200),
            rise in 1u32..5, fall in 1u32..5,
        ) {
            let mut streak = Streak::new(rise, fall, false);
            let (mut up, mut row) = (true, 0);
            for (number, passed) in results.iter().enumerate() {
                row = if number > 0 && results[number - 1] == *passed { row + 1 } else { 1 };
                let next = streak.feed(up, *passed);
                if next != up && number > 0 {
                    let needed = if *passed { rise } else { fall };
                    prop_assert!(row >= needed);
                }
                if row >= rise.max(fall) {
                    prop_assert_eq!(next, *passed);
                }
                up = next;
            }
        }
    }
}

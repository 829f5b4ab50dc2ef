use std::sync::atomic::AtomicBool;
use std::task::Wake;
use std::time::Duration;

use proptest::prelude::*;

use super::lines::MAX_PASSED_OVER;
use super::*;

mod race;

/// Where a waker knocks.
#[derive(Debug, Default)]
struct Door(AtomicBool);

impl Wake for Door {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Backends with room for so many, and the clients that use or want it. Nobody is looked after who was not woken.
#[derive(Default)]
struct Town {
    queue: Arc<Queue>,
    limits: Vec<u32>,
    used: Vec<u32>,
    clients: Vec<Client>,
    /// The names of those who were served, in their order.
    served: Vec<u32>,
    expired: Vec<u32>,
    dropped: Vec<u32>,
    names: u32,
    now: Option<Instant>,
}

struct Client {
    name: u32,
    wants: Wants,
    spot: Spot,
    door: Arc<Door>,
}

fn ask(class: Class) -> Ask {
    let expires = Instant::now() + Duration::from_secs(3600);
    Ask { class, again: false, wants: Wants::Any, expires, max: 1024 }
}

impl Town {
    fn new(limits: &[u32]) -> Self {
        Self {
            limits: limits.to_vec(),
            used: vec![0; limits.len()],
            now: Some(Instant::now()),
            ..Self::default()
        }
    }

    fn now(&self) -> Instant {
        self.now.unwrap_or_else(Instant::now)
    }

    /// What the balancer would pick.
    fn room(&self, wants: &Wants) -> Option<usize> {
        let fits = |at: &usize| match wants {
            Wants::Any => true,
            Wants::Only(only) => *only == *at as u64,
            Wants::AllBut(tried) => !tried.contains(&(*at as u64)),
        };
        (0..self.limits.len()).filter(fits).find(|at| self.used[*at] < self.limits[*at])
    }

    /// A request comes, as the proxy takes it: at once where nobody waits, else by the queue.
    fn come(&mut self, ask: Ask) -> Result<u32, Full> {
        self.names += 1;
        let name = self.names;
        if !self.queue.is_awaited()
            && let Some(at) = self.room(&ask.wants)
        {
            self.used[at] += 1;
            self.served.push(name);
            return Ok(name);
        }
        let wants = ask.wants.clone();
        let spot = self.queue.join(ask, self.now())?;
        let door = Arc::new(Door(AtomicBool::new(true)));
        self.clients.push(Client { name, wants, spot, door });
        self.settle();
        Ok(name)
    }

    fn come_all(&mut self, count: usize) {
        (0..count).for_each(|_| assert!(self.come(ask(Class::Normal)).is_ok()));
    }

    fn release(&mut self, at: usize) {
        if self.used[at] > 0 {
            self.used[at] -= 1;
            self.queue.freed(at as u64);
            self.settle();
        }
    }

    fn leave(&mut self, name: u32) {
        self.clients.retain(|client| client.name != name);
        self.settle();
    }

    /// Lets all who were woken look, until nobody is.
    fn settle(&mut self) {
        while let Some(at) =
            self.clients.iter().position(|client| client.door.0.swap(false, Ordering::SeqCst))
        {
            self.look(at);
        }
    }

    fn look(&mut self, at: usize) {
        let now = self.now();
        let waker = Waker::from(Arc::clone(&self.clients[at].door));
        let room = self.room(&self.clients[at].wants);
        let client = &mut self.clients[at];
        match client.spot.poll(|| now, &mut Context::from_waker(&waker)) {
            Poll::Pending => {}
            Poll::Ready(Word::Try) => match room {
                None => {
                    client.spot.in_vain(client.wants.clone());
                    client.door.0.store(true, Ordering::SeqCst); // as a task that goes on polling
                }
                Some(backend) => {
                    self.used[backend] += 1;
                    let mut client = self.clients.remove(at);
                    self.served.push(client.name);
                    client.spot.serve(backend as u64);
                }
            },
            Poll::Ready(word) => {
                let client = self.clients.remove(at);
                if word == Word::Expired { &mut self.expired } else { &mut self.dropped }.push(client.name);
            }
        }
    }

    /// Nobody who could be served waits.
    fn is_settled(&self) -> bool {
        self.queue.len() == self.clients.len() && self.clients.iter().all(|c| self.room(&c.wants).is_none())
    }
}

#[test]
fn who_came_first_is_served_first() {
    let mut town = Town::new(&[1]);
    for name in 1..=20 {
        assert_eq!(town.come(ask(Class::Normal)), Ok(name));
    }
    assert_eq!(town.queue.len(), 19);
    (0..19).for_each(|_| town.release(0));
    assert_eq!(town.served, (1..=20).collect::<Vec<u32>>());
    assert!(town.queue.is_empty());
}

#[test]
fn nobody_passes_those_who_wait() {
    let mut town = Town::new(&[1]);
    town.come_all(3);
    // The place is free, and who was called has not come yet: a newcomer stands behind all the same.
    town.used[0] -= 1;
    town.queue.freed(0);
    let _ = town.come(ask(Class::Normal));
    assert_eq!(town.served, [1, 2]);
    (0..2).for_each(|_| town.release(0));
    assert_eq!(town.served, [1, 2, 3, 4]);
}

#[test]
fn who_is_called_and_leaves_passes_the_call_on() {
    let mut town = Town::new(&[1]);
    town.come_all(4);
    town.used[0] -= 1;
    town.queue.freed(0);
    town.leave(2); // was called, and has not looked
    assert_eq!(town.served, [1, 3]);
}

#[test]
fn a_request_that_was_tried_stands_before_those_that_were_not() {
    let mut town = Town::new(&[1]);
    town.come_all(3);
    let again = town.come(Ask { again: true, ..ask(Class::Normal) }).unwrap();
    town.release(0);
    assert_eq!(town.served, [1, again]);
}

#[test]
fn the_high_go_first_and_the_low_are_not_forgotten() {
    let mut town = Town::new(&[1]);
    let _ = town.come(ask(Class::Normal));
    let low = town.come(ask(Class::Low)).unwrap();
    let normal = town.come(ask(Class::Normal)).unwrap();
    for _ in 0..3 * MAX_PASSED_OVER {
        let _ = town.come(ask(Class::High));
        town.release(0);
    }
    let place = |name| town.served.iter().position(|served| *served == name).unwrap() as u32;
    // The first was served at once.
    assert_eq!(place(normal), 1 + MAX_PASSED_OVER);
    assert_eq!(place(low), 2 + MAX_PASSED_OVER);
}

#[test]
fn where_it_is_full_the_youngest_of_the_lowest_class_gives_way() {
    let mut town = Town::new(&[1]);
    let of = |class| Ask { max: 4, ..ask(class) };
    let _ = town.come(of(Class::Normal));
    let [_normal, _old, young] =
        [Class::Normal, Class::Low, Class::Low].map(|class| town.come(of(class)).unwrap());
    let _ = town.come(of(Class::Normal));
    assert_eq!(town.come(of(Class::Low)), Err(Full), "as low as the lowest");
    let high = town.come(of(Class::High)).unwrap();
    town.settle();
    assert_eq!(town.dropped, [young]);
    assert_eq!(town.queue.len(), 4);
    town.release(0);
    assert_eq!(town.served.last(), Some(&high));
    for _ in 0..2 {
        let _ = town.come(of(Class::High));
    }
    assert_eq!(town.dropped.len(), 2, "one place was free");
}

#[test]
fn where_it_is_full_the_expired_leave_first() {
    let mut town = Town::new(&[1]);
    let start = town.now();
    let of = |secs| Ask { max: 2, expires: start + Duration::from_secs(secs), ..ask(Class::Normal) };
    let _ = town.come(of(1));
    let [short, _long] = [1, 5].map(|secs| town.come(of(secs)).unwrap());
    assert_eq!(town.come(of(1)), Err(Full));
    town.now = Some(start + Duration::from_secs(2));
    let late = town.come(of(5)).unwrap();
    assert_eq!(town.expired, [short]);
    (0..2).for_each(|_| town.release(0));
    assert_eq!(town.served.last(), Some(&late));
}

#[test]
fn who_is_called_too_late_passes_the_call_on() {
    let mut town = Town::new(&[1]);
    let start = town.now();
    let of = |secs| Ask { expires: start + Duration::from_secs(secs), ..ask(Class::Normal) };
    let _ = [9, 1, 1, 9].map(|secs| town.come(of(secs)).unwrap());
    town.now = Some(start + Duration::from_secs(2));
    town.release(0);
    assert_eq!((town.served, town.expired), (vec![1, 4], vec![2, 3]));
}

#[test]
fn who_must_go_to_one_backend_holds_nobody_up() {
    let mut town = Town::new(&[1, 1]);
    town.come_all(2);
    let bound = town.come(Ask { wants: Wants::Only(0), ..ask(Class::Normal) }).unwrap();
    let free = town.come(ask(Class::Normal)).unwrap();
    town.release(1);
    assert_eq!(town.served, [1, 2, free]);
    // It waits alone now: who can go elsewhere need not wait for it.
    town.limits[1] = 2;
    let next = town.come(ask(Class::Normal)).unwrap();
    assert_eq!(town.served, [1, 2, free, next]);
    town.release(0);
    assert_eq!(town.served, [1, 2, free, next, bound]);
}

#[test]
fn a_further_try_leaves_to_others_what_it_was_tried_at() {
    let mut town = Town::new(&[1, 1]);
    town.come_all(4);
    let again = Ask { again: true, wants: Wants::AllBut([1].into()), ..ask(Class::Normal) };
    let again = town.come(again).unwrap();
    town.release(1);
    assert_eq!(town.served, [1, 2, 3]);
    town.release(0);
    assert_eq!(town.served, [1, 2, 3, again]);
}

#[test]
fn a_queue_of_nobody_takes_nobody() {
    let mut town = Town::new(&[0]);
    assert_eq!(town.come(Ask { max: 0, ..ask(Class::High) }), Err(Full));
    assert!(!town.queue.is_awaited());
}

#[derive(Debug, Clone)]
enum Event {
    Come {
        class: Class,
        wants: Wants,
        again: bool,
        patience: u64,
    },
    Leave(prop::sample::Index),
    Release(usize),
    /// A place is free, and who is called for it looks only at the next event.
    ReleaseLater(usize),
    Limit(usize, u32),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let class = prop::sample::select(vec![Class::High, Class::Normal, Class::Low]);
    let tried = prop::collection::vec(0..3u64, 1..3).prop_map(|tried| Wants::AllBut(tried.into()));
    let wants = prop_oneof![8 => Just(Wants::Any), 2 => (0..3u64).prop_map(Wants::Only), 1 => tried];
    prop_oneof![
        6 => (class, wants, prop::bool::weighted(0.1), 0..20u64)
            .prop_map(|(class, wants, again, patience)| Event::Come { class, wants, again, patience }),
        2 => any::<prop::sample::Index>().prop_map(Event::Leave),
        3 => (0..3usize).prop_map(Event::Release),
        2 => (0..3usize).prop_map(Event::ReleaseLater),
        1 => (0..3usize, 0..5u32).prop_map(|(at, limit)| Event::Limit(at, limit)),
        1 => (0..8u64).prop_map(Event::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No call is lost: whatever comes, leaves and is released, nobody waits who has room.
    #[test]
    fn nobody_waits_beside_a_free_place(events in prop::collection::vec(event(), 1..80)) {
        let mut town = Town::new(&[2, 1, 3]);
        let start = town.now();
        for event in events {
            let mut settles = true;
            match event {
                Event::Come { class, wants, again, patience } => {
                    let expires = town.now() + Duration::from_secs(patience);
                    let _ = town.come(Ask { class, again, wants, expires, max: 12 });
                }
                Event::Leave(which) if !town.clients.is_empty() => {
                    let at = which.index(town.clients.len());
                    drop(town.clients.remove(at));
                }
                Event::Leave(_) => {}
                Event::Release(at) => town.release(at),
                Event::ReleaseLater(at) => {
                    settles = false;
                    if town.used[at] > 0 {
                        town.used[at] -= 1;
                        town.queue.freed(at as u64);
                    }
                }
                Event::Limit(at, limit) => {
                    town.limits[at] = limit;
                    town.queue.look_again();
                }
                Event::Pass(secs) => {
                    let now = town.now() + Duration::from_secs(secs);
                    town.now = Some(now);
                    // As their timers do it.
                    let late: Vec<u32> = town.clients.iter().filter(|c| c.spot.expires <= now).map(|c| c.name).collect();
                    late.into_iter().for_each(|name| town.leave(name));
                }
            }
            if settles {
                town.settle();
                prop_assert!(town.is_settled(), "{:?}", town.queue);
            }
            prop_assert!(town.queue.len() <= 12);
        }
        drop(std::mem::take(&mut town.clients));
        prop_assert!(town.queue.is_empty() && town.now() >= start);
    }
}

#[test]
fn it_tells_since_when_the_oldest_waits() {
    let (queue, start) = (Arc::<Queue>::default(), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    assert_eq!(queue.oldest_since(), None);
    let first = queue.join(ask(Class::Low), at(1)).unwrap();
    let second = queue.join(ask(Class::High), at(2)).unwrap();
    let _third = queue.join(ask(Class::Normal), at(3)).unwrap();
    assert_eq!(queue.oldest_since(), Some(at(1)), "also one that was called already");
    drop(first);
    assert_eq!(queue.oldest_since(), Some(at(2)));
    drop(second);
    assert_eq!(queue.oldest_since(), Some(at(3)));
}

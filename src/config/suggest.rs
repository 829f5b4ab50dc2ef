//! Did you mean …?

/// Longer words are not compared: the table below is quadratic in them.
const WORD_MAX: usize = 64;
/// More candidates than this are not compared, so that a huge file of wrong names stays cheap.
const CANDIDATES_MAX: usize = 1000;

/// The candidate nearest to `word`, if it is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = fold(word);
    let length = word.chars().count();
    if length == 0 || length > WORD_MAX {
        return None;
    }
    // A third of the word may differ: `blance` is `balance`, but `ip` is not `via`.
    let most = (length / 3).max(1);
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter(|other| other.chars().count() <= WORD_MAX)
        .filter_map(|other| {
            let other_folded = fold(other);
            let near = match begins(&word, &other_folded) {
                // `warning` for `warn`, `round` for `round-robin`: as near as can still be meant.
                true => most.min(distance(&word, &other_folded)),
                false => distance(&word, &other_folded),
            };
            let meant = near <= most.min(other_folded.chars().count().saturating_sub(1));
            meant.then_some((near, other))
        })
        .min_by_key(|(near, _)| *near)
        .map(|(_, other)| other)
}

/// Case and the kind of dash are the commonest slips, and no difference in meaning.
fn fold(word: &str) -> String {
    word.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Whether one is the beginning of the other, and long enough to tell.
fn begins(a: &str, b: &str) -> bool {
    /// Shorter words begin too many others.
    const TELLING: usize = 4;
    a.len().min(b.len()) >= TELLING && (a.starts_with(b) || b.starts_with(a))
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let keys = ["balance", "backends", "hash_key", "via"];
        assert_eq!(nearest("blance", keys), Some("balance"));
        assert_eq!(nearest("backend", keys), Some("backends"));
        assert_eq!(nearest("hash-key", keys), Some("hash_key"));
        assert_eq!(nearest("Via", keys), Some("via"));
        assert_eq!(nearest("warning", ["warn", "info"]), Some("warn"));
        assert_eq!(nearest("weight", keys), None);
        assert_eq!(nearest("x", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn a_swap_counts_once() {
        assert_eq!(distance("wieght", "weight"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}

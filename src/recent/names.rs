//! Numbers for names, and the names again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Names of before that are kept although the configuration in force has them no more: of that many records of theirs
/// could be told.
const MAX_RETIRED: usize = 10_000;

/// Stands for a name. The default one stands for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(u32);

impl Tag {
    /// Stands for no name.
    pub const NONE: Self = Self(0);

    /// Whether it stands for a name.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// The names of listeners, routes, pools and backends that this process has had. Locked where a configuration is compiled
/// and where records are told, never for a request.
#[derive(Debug, Default)]
pub struct Names(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    last: u32,
    /// How many configurations have been entered.
    edition: u64,
    tags: HashMap<Arc<str>, Tag>,
    /// Each with the last edition that has it.
    names: BTreeMap<Tag, (Arc<str>, u64)>,
}

impl Names {
    /// Another configuration follows: what is not named from now on has left.
    pub fn begin(&self) {
        let book = &mut *self.book();
        let gone = |edition: u64| edition < book.edition;
        let retired = book.names.values().filter(|(_, edition)| gone(*edition)).count();
        if let Some(many) = retired.checked_sub(MAX_RETIRED) {
            let mut old: Vec<(u64, Tag)> =
                book.names.iter().map(|(tag, (_, edition))| (*edition, *tag)).collect();
            old.sort_unstable();
            for (_, tag) in old.into_iter().take(many) {
                if let Some((name, _)) = book.names.remove(&tag) {
                    book.tags.remove(&name);
                }
            }
        }
        book.edition += 1;
    }

    /// The number of a name, the same for the same name while it is known.
    pub fn tag(&self, name: &str) -> Tag {
        let book = &mut *self.book();
        let edition = book.edition;
        if let Some(tag) = book.tags.get(name) {
            if let Some(entry) = book.names.get_mut(tag) {
                entry.1 = edition;
            }
            return *tag;
        }
        book.last = book.last.wrapping_add(1).max(1);
        let (tag, name) = (Tag(book.last), Arc::<str>::from(name));
        book.tags.insert(Arc::clone(&name), tag);
        book.names.insert(tag, (name, edition));
        tag
    }

    /// The name of a number; `None`: it stands for none, or for one that left long ago.
    pub fn name(&self, tag: Tag) -> Option<Arc<str>> {
        self.book().names.get(&tag).map(|(name, _)| Arc::clone(name))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_over_configurations() {
        let names = Names::default();
        names.begin();
        let (web, crm) = (names.tag("web"), names.tag("crm"));
        assert!(web != crm && web.is_some());
        names.begin();
        assert_eq!(names.tag("crm"), crm);
        assert_eq!(names.name(web).as_deref(), Some("web"), "it has left, and is known");
        assert_eq!(names.name(Tag::NONE), None);
    }

    #[test]
    fn of_names_that_left_the_oldest_are_forgotten() {
        let names = Names::default();
        names.begin();
        let stays = names.tag("stays");
        let mut first = Tag::NONE;
        for nth in 0..3 {
            names.begin();
            assert_eq!(names.tag("stays"), stays);
            for name in 0..MAX_RETIRED / 2 {
                let tag = names.tag(&format!("{nth}-{name}"));
                first = if first.is_some() { first } else { tag };
            }
        }
        names.begin();
        assert!(names.name(first).is_some(), "two editions of three have left");
        names.tag("stays");
        names.begin();
        names.tag("stays");
        assert_eq!(names.name(first), None);
        let book = names.book();
        assert_eq!((book.names.len(), book.tags.len()), (1 + MAX_RETIRED, 1 + MAX_RETIRED));
        drop(book);
        assert_eq!(names.name(stays).as_deref(), Some("stays"));
    }
}

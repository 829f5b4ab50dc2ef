//! An ordered list of field lines over one buffer.

use super::field::Known;

/// One field line. Offsets are into [`Fields::bytes`]; a head never exceeds `u32`.
#[derive(Debug, Clone, Copy)]
struct Field {
    line: u32,
    end: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
    known: Known,
    live: bool,
}

/// A field as read.
#[derive(Debug, Clone, Copy)]
pub struct FieldRef<'a> {
    /// What it is.
    pub known: Known,
    /// Its name as sent.
    pub name: &'a [u8],
    /// Its value without surrounding white space.
    pub value: &'a [u8],
}

/// Field lines in the order in which they were sent. Removed ones stay in the buffer and are passed
/// over; untouched neighbours are emitted as one run.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    list: Vec<Field>,
}

impl Fields {
    /// Forgets everything and keeps the memory, with the raw bytes of a head as the new buffer.
    pub(super) fn reset(&mut self, head: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(head);
        self.list.clear();
    }

    /// The buffer: raw head first, appended lines after it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a line that stands in the raw head: from `line` to `end` (past its CRLF).
    pub(super) fn push_raw(
        &mut self,
        line: usize,
        name_len: usize,
        value: (usize, usize),
        end: usize,
        known: Known,
    ) {
        self.list.push(Field {
            line: line as u32,
            end: end as u32,
            name_len: name_len as u32,
            value: value.0 as u32,
            value_len: value.1 as u32,
            known,
            live: true,
        });
    }

    /// The fields that are left, in order.
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> {
        self.list.iter().filter(|f| f.live).map(|f| self.read(f))
    }

    /// The values of the fields of one kind, in order.
    pub fn values(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.list.iter().filter(move |f| f.live && f.known == known).map(|f| self.read(f).value)
    }

    /// The first value of one kind.
    pub fn first(&self, known: Known) -> Option<&[u8]> {
        self.values(known).next()
    }

    /// The first value of a field by its name, in any case.
    pub fn by_name(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|f| f.name.eq_ignore_ascii_case(name.as_bytes())).map(|f| f.value)
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.list.iter().filter(|f| f.live).count()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes every field that `doomed` says yes to.
    pub fn remove_where(&mut self, mut doomed: impl FnMut(FieldRef<'_>) -> bool) {
        let bytes = &self.bytes;
        for field in self.list.iter_mut().filter(|f| f.live) {
            if doomed(read(bytes, field)) {
                field.live = false;
            }
        }
    }

    /// Removes every field of one kind.
    pub fn remove(&mut self, known: Known) {
        for field in &mut self.list {
            field.live &= field.known != known;
        }
    }

    /// Adds a line at the end. `name` and the value's parts must be free of controls: they are ours, or
    /// were checked when they were parsed.
    pub fn append(&mut self, known: Known, name: &str, value: &[&[u8]]) {
        let field = self.write_line(known, name, value);
        self.list.push(field);
    }

    /// Puts a line where the first field of this kind stands, and removes the others of its kind;
    /// without one it is added at the end.
    pub fn replace(&mut self, known: Known, name: &str, value: &[&[u8]]) {
        let field = self.write_line(known, name, value);
        match self.list.iter().position(|f| f.live && f.known == known) {
            Some(at) => {
                self.remove(known);
                self.list[at] = field;
            }
            None => self.list.push(field),
        }
    }

    /// Keeps bytes that belong to the head but to no line; gives their place in the buffer.
    pub(super) fn stash(&mut self, parts: &[&[u8]]) -> (usize, usize) {
        let start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        (start, self.bytes.len() - start)
    }

    /// Appends every line that is left to `out`, each ended by CRLF.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let mut run = (0, 0);
        for field in self.list.iter().filter(|f| f.live) {
            if field.line != run.1 {
                out.extend_from_slice(&self.bytes[run.0 as usize..run.1 as usize]);
                run.0 = field.line;
            }
            run.1 = field.end;
        }
        out.extend_from_slice(&self.bytes[run.0 as usize..run.1 as usize]);
    }

    fn write_line(&mut self, known: Known, name: &str, value: &[&[u8]]) -> Field {
        let line = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        let start = self.bytes.len();
        for part in value {
            self.bytes.extend_from_slice(part);
        }
        let end = self.bytes.len();
        self.bytes.extend_from_slice(b"\r\n");
        Field {
            line: line as u32,
            end: (end + 2) as u32,
            name_len: name.len() as u32,
            value: start as u32,
            value_len: (end - start) as u32,
            known,
            live: true,
        }
    }

    fn read(&self, field: &Field) -> FieldRef<'_> {
        read(&self.bytes, field)
    }
}

fn read<'a>(bytes: &'a [u8], field: &Field) -> FieldRef<'a> {
    let (line, value) = (field.line as usize, field.value as usize);
    FieldRef {
        known: field.known,
        name: &bytes[line..line + field.name_len as usize],
        value: &bytes[value..value + field.value_len as usize],
    }
}

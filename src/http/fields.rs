//! An ordered list of field lines over one buffer.

use super::field::{Kinds, Known};
use super::parse::Line;

mod cookie;

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
    /// At least the kinds that are left: most questions are for a kind that nobody sent, and are answered
    /// without a walk.
    kinds: Kinds,
    /// Of those, the kinds of which more than one line was added.
    repeated: Kinds,
    /// The lines of a head that is not complete: its bytes are still elsewhere, and nobody may read them here.
    unfinished: Vec<Field>,
}

impl Fields {
    /// Forgets everything and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.list.clear();
        self.unfinished.clear();
        (self.kinds, self.repeated) = (Kinds::default(), Kinds::default());
    }

    /// Takes the raw bytes of the head whose lines were added.
    pub(super) fn hold(&mut self, head: &[u8]) {
        debug_assert!(self.bytes.is_empty());
        self.bytes.extend_from_slice(head);
    }

    /// Puts the lines aside until more of the head has come, and takes them up again. Its bytes are copied when
    /// all are there: a head that comes slowly must not be held twice.
    pub(super) fn set_aside(&mut self) {
        std::mem::swap(&mut self.list, &mut self.unfinished);
    }

    /// The buffer: raw head first, appended lines after it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a line of the head that [`Self::hold`] will take.
    #[inline]
    pub(super) fn push(&mut self, line: &Line) {
        self.push_raw(line.start, line.name_len, line.value, line.end, line.known);
    }

    /// Adds a line that stands in the bytes from `line` to `end` (past its CRLF).
    fn push_raw(&mut self, line: usize, name_len: usize, value: (usize, usize), end: usize, known: Known) {
        if self.kinds.has(known) {
            self.repeated.add(known);
        }
        self.kinds.add(known);
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
        let list = if self.kinds.has(known) { &self.list[..] } else { &[] };
        list.iter().filter(move |f| f.live && f.known == known).map(|f| self.read(f).value)
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

    /// Whether a field of these kinds may be there; `false` is certain.
    pub(super) fn may_have(&self, kinds: Kinds) -> bool {
        self.kinds.meets(kinds)
    }

    /// Whether one of these kinds came in more than one line.
    pub(super) fn repeats(&self, kinds: Kinds) -> bool {
        self.repeated.meets(kinds)
    }

    /// Removes every field of one kind.
    pub fn remove(&mut self, known: Known) {
        self.remove_kinds(Kinds::of(&[known]));
    }

    /// Removes every field of a name, in any case.
    pub fn remove_named(&mut self, name: &str) {
        for field in &mut self.list {
            field.live &= !read(&self.bytes, field).name.eq_ignore_ascii_case(name.as_bytes());
        }
    }

    /// Removes every field of these kinds.
    pub(super) fn remove_kinds(&mut self, doomed: Kinds) {
        if self.kinds.meets(doomed) {
            for field in &mut self.list {
                field.live &= !doomed.has(field.known);
            }
        }
    }

    /// Removes the fields whose names are such.
    pub(super) fn remove_where(&mut self, doomed: impl Fn(&[u8]) -> bool) {
        for field in &mut self.list {
            field.live &= !doomed(read(&self.bytes, field).name);
        }
    }

    /// Removes the fields whose names stand in the values of the fields of one kind, which are lists
    /// separated by commas; those that are `spared` stay. The naming fields stay too: one that named
    /// itself would hide those after it.
    pub(super) fn remove_named_by(&mut self, naming: Known, spared: impl Fn(Known) -> bool) {
        if !self.kinds.has(naming) {
            return;
        }
        for index in 0..self.list.len() {
            let line = self.list[index];
            if !line.live || line.known != naming {
                continue;
            }
            for name in read(&self.bytes, &line).value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                let known = Known::from_name(name);
                let absent = known.is_spelt_out() && !self.kinds.has(known);
                if name.is_empty() || known == naming || absent || spared(known) {
                    continue;
                }
                for field in &mut self.list {
                    field.live &= !read(&self.bytes, field).name.eq_ignore_ascii_case(name);
                }
            }
        }
    }

    /// Where in [`Self::bytes`] the first value of one kind stands.
    pub(super) fn place(&self, known: Known) -> Option<(usize, usize)> {
        if !self.kinds.has(known) {
            return None;
        }
        let first = self.list.iter().find(|f| f.live && f.known == known)?;
        Some((first.value as usize, first.value_len as usize))
    }

    /// Whether the first line of one kind is a name, a colon, one space, this value, CRLF.
    fn is_plain(&self, field: &Field, value: &[u8]) -> bool {
        let (line, end) = (field.line as usize + field.name_len as usize, field.end as usize);
        let told = &self.bytes[line..end];
        told.len() == value.len() + 4 && told[1] == b' ' && told[2..value.len() + 2] == *value
    }

    /// Gives the first line of one kind the plainest spelling of its value: its name as it came, a colon, one
    /// space, the value, CRLF. Nothing is copied where it has that already.
    pub(super) fn spell_plainly(&mut self, known: Known, value: &[u8]) {
        let Some(at) = self.list.iter().position(|f| f.live && f.known == known) else { return };
        if !self.is_plain(&self.list[at], value) {
            self.spell(at, value);
        }
    }

    /// Gives a line another value, in the plainest spelling.
    fn spell(&mut self, at: usize, value: &[u8]) {
        let field = self.list[at];
        let (line, name, start) = (field.line as usize, field.name_len as usize, self.bytes.len());
        self.bytes.extend_from_within(line..line + name);
        [b": ", value, b"\r\n"].iter().for_each(|part| self.bytes.extend_from_slice(part));
        let (value_start, end) = (start + name + 2, self.bytes.len());
        self.list[at] = Field {
            line: start as u32,
            end: end as u32,
            value: value_start as u32,
            value_len: value.len() as u32,
            ..field
        };
    }

    /// The same with a number for the value, which has been read as that number: it is of digits alone.
    pub(super) fn spell_number(&mut self, known: Known, number: u64) {
        let Some(field) = self.list.iter().find(|f| f.live && f.known == known) else { return };
        let (colon, start) = (field.line + field.name_len, field.value);
        let is_bare = start == colon + 2 && field.end == start + field.value_len + 2;
        let plain = is_bare && self.bytes[colon as usize + 1] == b' ';
        if !plain || (field.value_len > 1 && self.bytes[start as usize] == b'0') {
            self.spell_plainly(known, number.to_string().as_bytes());
        }
    }

    /// Adds a line at the end. `name` and the value's parts must be free of controls: they are ours, or
    /// were checked when they were parsed.
    pub fn append(&mut self, known: Known, name: &str, value: &[&[u8]]) {
        let field = self.write_line(known, name, value);
        self.kinds.add(known);
        self.list.push(field);
    }

    /// Adds a line at the end whose value already stands in [`Self::bytes`].
    pub(super) fn append_place(&mut self, known: Known, name: &str, (start, len): (usize, usize)) {
        let line = self.bytes.len();
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        let value = self.bytes.len();
        self.bytes.extend_from_within(start..start + len);
        self.bytes.extend_from_slice(b"\r\n");
        let end = self.bytes.len();
        self.push_raw(line, name.len(), (value, len), end, known);
    }

    /// Adds whole lines that were written before, where `lines` gives the kind, the length of the name
    /// and of the value of each. One copy instead of four a line: these lines stand in every request.
    pub(super) fn append_block(&mut self, block: &[u8], lines: &[(Known, usize, usize)]) {
        let mut line = self.bytes.len() as u32;
        self.bytes.extend_from_slice(block);
        let (mut kinds, mut repeated) = (self.kinds, self.repeated);
        self.list.extend(lines.iter().map(|&(known, name_len, value_len)| {
            if kinds.has(known) {
                repeated.add(known);
            }
            kinds.add(known);
            let (name_len, value_len) = (name_len as u32, value_len as u32);
            let value = line + name_len + 2;
            let end = value + value_len + 2;
            let start = std::mem::replace(&mut line, end);
            Field { line: start, end, name_len, value, value_len, known, live: true }
        }));
        (self.kinds, self.repeated) = (kinds, repeated);
        debug_assert_eq!(line as usize, self.bytes.len());
    }

    /// Puts a line where the first field of this kind stands, and removes the others of its kind;
    /// without one it is added at the end.
    pub fn replace(&mut self, known: Known, name: &str, value: &[&[u8]]) {
        let field = self.write_line(known, name, value);
        self.kinds.add(known);
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

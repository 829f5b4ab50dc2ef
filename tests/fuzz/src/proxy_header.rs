//! The PROXY header on bytes from memory.

use std::rc::Rc;

use equipoise::announce::{Announcement, Header, MAX_HEADER, Progress, Reader, Version};

use crate::{cuts, take};

/// A header: read at once and in pieces, shown, and what it says written and read back in both forms.
pub fn header(mut data: &[u8]) {
    let seed = take(&mut data);
    let (taken, progress) = Reader::default().take(data);
    assert!(taken <= data.len().min(MAX_HEADER), "it takes more than a header has");
    let mut slow = Reader::default();
    let (mut slowly_taken, mut slowly) = (0, Progress::Partial);
    for end in cuts(data.len(), seed).into_iter().chain([data.len()]) {
        let (more, now) = slow.take(&data[slowly_taken..end]);
        (slowly_taken, slowly) = (slowly_taken + more, now);
        if slowly != Progress::Partial {
            break;
        }
    }
    assert_eq!((slowly_taken, &slowly), (taken, &progress), "in pieces it is another");
    assert_eq!(slow.held(), &data[..taken], "what is taken is held");
    if let Progress::Whole(header) = progress {
        again(&header, &data[..taken]);
    }
}

fn again(header: &Header, bytes: &[u8]) {
    let shown = header.extra().to_string();
    assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "not fit for a log: {shown:?}");
    assert!(header.extra().all(
        |one| bytes.windows(one.value.len().max(1)).any(|part| part == one.value) || one.value.is_empty()
    ));
    let Some(addresses) = header.addresses else { return };
    for version in [Version::V1, Version::V2] {
        let written = Announcement { version, addresses: Rc::new(addresses) }.header();
        match Reader::default().take(&written) {
            (taken, Progress::Whole(read)) if taken == written.len() => {
                assert_eq!((read.version, read.addresses), (version, Some(addresses)));
            }
            other => panic!("{}: {other:?}", written.escape_ascii()),
        }
    }
}

//! Which form of the metrics a client wants (RFC 9110 12.5.1).

use hyper::header::{self, HeaderMap};

use crate::observe::Form;

/// Media ranges that are looked at; a client that lists more is not understood any better.
const MAX_RANGES: usize = 32;

/// OpenMetrics where a client names it and likes nothing that we have better; else the text format, also for those
/// that accept neither.
pub(super) fn form(head: &HeaderMap) -> Form {
    let (mut open, mut text) = (None, Best::default());
    let lines = head.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    for range in lines.flat_map(|line| line.split(',')).take(MAX_RANGES).filter_map(Range::read) {
        match range.media.as_str() {
            // A wildcard does not ask for it: whoever does not know it would be given it.
            "application/openmetrics-text" if matches!(range.version, None | Some("1.0.0")) => {
                open = open.max(Some(range.quality));
            }
            "text/plain" if matches!(range.version, None | Some("0.0.4")) => text.take(2, range.quality),
            "text/*" => text.take(1, range.quality),
            "*/*" => text.take(0, range.quality),
            _ => {}
        }
    }
    match open {
        Some(quality) if quality > 0 && quality >= text.quality() => Form::OpenMetrics,
        _ => Form::Text,
    }
}

/// The quality that the most specific range gives.
#[derive(Default)]
struct Best(Option<(u8, u16)>);

impl Best {
    fn take(&mut self, rank: u8, quality: u16) {
        self.0 = self.0.max(Some((rank, quality)));
    }

    fn quality(&self) -> u16 {
        self.0.map_or(0, |(_, quality)| quality)
    }
}

struct Range<'a> {
    media: String,
    version: Option<&'a str>,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next()?.to_ascii_lowercase();
        let mut range = Self { media, version: None, quality: 1000 };
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { continue };
            match name.trim_end().to_ascii_lowercase().as_str() {
                "version" => range.version = Some(value.trim().trim_matches('"')),
                "q" => range.quality = quality(value.trim())?,
                _ => {}
            }
        }
        Some(range)
    }
}

/// `0`, `1`, or one of these with up to three decimals.
fn quality(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse::<u16>().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn asked(lines: &[&'static str]) -> Form {
        let mut head = HeaderMap::new();
        lines.iter().for_each(|line| {
            head.append(header::ACCEPT, HeaderValue::from_static(line));
        });
        form(&head)
    }

    #[test]
    fn who_names_openmetrics_and_likes_nothing_better_gets_it() {
        for lines in [
            // Prometheus 2 and 3.
            &[
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            ][..],
            &[
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.2",
            ],
            &["application/openmetrics-text"],
            &["Application/OpenMetrics-Text; Version=\"1.0.0\"; q=0.1"],
            &["text/plain;q=0.5", "application/openmetrics-text;q=0.500"],
            &["*/*;q=0.9, text/plain;q=0.1, application/openmetrics-text;q=0.2"],
        ] {
            assert_eq!(asked(lines), Form::OpenMetrics, "{lines:?}");
        }
    }

    #[test]
    fn everybody_else_gets_text() {
        for lines in [
            &[][..],
            &["*/*"],
            &["text/html,application/xhtml+xml,*/*;q=0.8"],
            &["application/*"],
            &["application/openmetrics-text;version=0.0.1"],
            &["application/openmetrics-text;version=2.0.0, */*;q=0.1"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=0.4, text/plain;q=0.5"],
            &["application/openmetrics-text;q=2"],
            &["application/openmetrics-text;q=0.0001"],
            &["application/json"],
            &[";;,=,;q="],
        ] {
            assert_eq!(asked(lines), Form::Text, "{lines:?}");
        }
    }
}

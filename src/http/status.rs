//! The statuses of answers of our own.

/// Statuses of errors that we may answer ourselves, without a word of a backend's.
pub const OWN_ERRORS: &[u16] = &[400, 404, 405, 408, 411, 413, 414, 417, 431, 501, 502, 503, 504, 505];

/// The phrase that goes with a status of ours.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_ours_has_its_phrase() {
        assert!(OWN_ERRORS.iter().all(|status| reason_phrase(*status) != "Error"));
        assert!(OWN_ERRORS.is_sorted(), "it is searched and shown in order");
    }
}

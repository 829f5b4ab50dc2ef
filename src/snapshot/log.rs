//! The access log and traces as they are configured.

use std::sync::Arc;

use crate::access::{Format, Log, Mask, Piece, Settings, Sink};
use crate::config;
use crate::trace::{Exporter, Tracer};

/// Where the access log goes; `None`: it is off.
pub fn settings(config: &config::Config) -> Option<Settings> {
    let log = config.log.access.as_ref()?;
    Some(Settings { path: log.path.clone(), max_size: log.max_size, keep: log.keep })
}

pub(super) fn compile(log: &config::AccessLog, sink: &Arc<Sink>) -> Log {
    let piece = |piece: &config::TemplatePiece| match piece {
        config::TemplatePiece::Text(text) => Piece::Text(text.clone()),
        config::TemplatePiece::Name(name) => Piece::Name(name.clone()),
    };
    Log {
        format: match &log.form {
            config::AccessForm::Json(fields) => Format::json(fields),
            config::AccessForm::Common => Format::common(false),
            config::AccessForm::Combined => Format::common(true),
            config::AccessForm::Haproxy => Format::haproxy(),
            config::AccessForm::Template(pieces) => {
                Format::template(&pieces.iter().map(piece).collect::<Vec<_>>())
            }
        },
        mask: match &log.mask_query {
            config::MaskQuery::Nothing => Mask::Nothing,
            config::MaskQuery::Whole => Mask::Whole,
            config::MaskQuery::Named(names) => {
                Mask::Named(names.iter().map(|name| name.as_str().into()).collect())
            }
        },
        sample: log.sample,
        sink: Arc::clone(sink),
    }
}

/// The part that requests take in traces; `None`: they pass as they are.
pub(super) fn tracer(config: &config::Config, exporter: Option<&Arc<Exporter>>) -> Option<Tracer> {
    let tracing = config.tracing.as_ref()?;
    Some(Tracer { sample: tracing.sample, exporter: exporter.cloned() })
}

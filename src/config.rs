//! TOML text → checked description, or all its errors with their places.

mod model;

pub use model::*;

//! Queries that stay: asked by clients in sets, answered by an engine once for all (R38 to R42).

mod data;
mod errors;
mod hostile;
mod sets;
mod sharing;
mod staying;

//! Queries that stay: asked by clients in sets, answered by an engine once for all (R38 to R42).

mod crossing;
mod data;
mod errors;
mod hostile;
mod places;
mod sets;
mod sharing;
mod staying;

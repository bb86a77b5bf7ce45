//! Resource to index keys, query to plan

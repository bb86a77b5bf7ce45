//! The operator's shell against an API server in memory: what it writes, in which order, and what it leaves alone.

mod admission;
mod api;
mod chart;
mod children;
mod collector;
mod election;
mod objects;
mod operator;
mod places;
mod render;
mod watches;

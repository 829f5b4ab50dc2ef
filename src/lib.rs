//! Equipoise: a layer-7 HTTP reverse-proxy load balancer.
//!
//! The rooms of the house, from the ground up; an upper one may use lower ones, never the other way
//! (`tests/layers.rs` holds the table of allowed edges). docs/architecture.md is the guided tour.

pub mod announce;
pub mod backend;
pub mod config;
pub mod drain;
pub mod frames;
pub mod http;
pub mod observe;
pub mod queue;
pub mod resilience;
pub mod route;
pub mod sticky;
pub mod timer;
pub mod tls;
pub mod wire;

pub mod access;
pub mod balance;
pub mod recent;
pub mod roster;
pub mod trace;

pub mod simulate;

pub mod discovery;
pub mod health;
pub mod upstream;

pub mod snapshot;

pub mod listen;
pub mod proxy;

pub mod admin;
pub mod control;

pub mod app;
pub mod cli;
pub mod demo;

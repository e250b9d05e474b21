//! A whole deployment in virtual time: the production client against a server that runs the shipped
//! Lua, under faults, from a seed.

pub mod redis;

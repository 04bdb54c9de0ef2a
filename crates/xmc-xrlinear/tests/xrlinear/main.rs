//! XR-Linear from the outside: what it learns, what it stores, and what it says to bad input.

mod damage;
mod dense;
mod errors;
mod exhaustive;
mod problem;
mod storage;

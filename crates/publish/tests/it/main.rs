//! Databases that none of us wrote, published: one table of cases for SQLite, PostgreSQL and
//! MariaDB, and what their connections do when something goes wrong.

mod cases;
mod changes;
mod conventions;
mod databases;
mod faults;
mod fuzz;
mod guarded;
mod odd;
mod rights;
mod servers;
mod surface;
mod turned;
mod writes;

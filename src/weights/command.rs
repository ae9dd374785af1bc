//! `maskrcnn weights`: what there is, and what is kept of it.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use intake::{FetchOptions, Fetcher};
use url::Url;

use super::cache::Cache;
use super::catalogue::{self, CATALOGUE, Entry};
use crate::errors::Code;
use crate::terminal::Terminal;

/// The table of all weights, as it is printed.
pub fn list(cache: Option<&Cache>) -> String {
    let mut table = String::new();
    let mut row = |cells: [&str; 7]| {
        let [name, family, size, ap, licence, here, network] = cells;
        let line = format!(
            "{name:<19} {family:<15} {size:>7}  {ap:>7}  {licence:<13} {here:<5} {network}"
        );
        writeln!(table, "{}", line.trim_end()).expect("text takes text");
    };
    row([
        "name", "family", "size", "mask AP", "licence", "kept", "network",
    ]);
    for entry in &CATALOGUE {
        let is_embedded = entry.address(None).is_none();
        let size = entry.size.to_string();
        let ap = entry
            .mask_ap
            .map(|ap| format!("{ap:.1}"))
            .unwrap_or_default();
        let is_here = is_embedded || cache.is_some_and(|cache| cache.holds(entry));
        let here = if is_here { "yes" } else { "no" };
        row([
            entry.name,
            entry.family,
            &size,
            &ap,
            entry.licence,
            here,
            entry.network,
        ]);
    }
    table
}

/// Fetches weights into the cache; the line that says where they are.
///
/// # Errors
///
/// When there are none of this name, or they cannot be had.
pub fn fetch(
    name: &str,
    mirror: Option<&Url>,
    options: FetchOptions,
    terminal: &Terminal,
) -> Result<String> {
    let entry = named(name)?;
    let Some(address) = entry.address(mirror) else {
        return Ok(format!("{name}: part of the program"));
    };
    let cache = of_user()?;
    if cache.holds(entry) {
        cache.verify(entry)?;
    }
    let fetcher = Fetcher::new(options, Arc::new(terminal.transfers()));
    let path = cache
        .fetch(entry, &address, &fetcher, terminal)
        .with_context(|| format!("cannot fetch the weights {name}"))?;
    Ok(format!("{name}: {}", path.display()))
}

/// Removes weights from the cache; the line that says so.
///
/// # Errors
///
/// When there are none of this name, or they cannot be removed.
pub fn remove(name: &str) -> Result<String> {
    let entry = named(name)?;
    let was_there = entry.address(None).is_some() && of_user()?.remove(entry)?;
    Ok(match (was_there, entry.address(None).is_some()) {
        (true, _) => format!("{name}: removed"),
        (false, true) => format!("{name}: was not kept"),
        (false, false) => format!("{name}: part of the program, nothing to remove"),
    })
}

fn named(name: &str) -> Result<&'static Entry> {
    catalogue::find(name).ok_or_else(|| {
        let nearest = catalogue::nearest(name);
        let remedy = nearest.map(|name| format!("did you mean `{name}`? "));
        let remedy = remedy.unwrap_or_default();
        Code::UnknownWeights.error(format!(
            "no weights are called `{name}`; {remedy}`maskrcnn weights` lists them"
        ))
    })
}

fn of_user() -> Result<Cache> {
    Cache::of_user().ok_or_else(|| {
        Code::Cache.error(
            "there is no place to keep weights: neither XDG_CACHE_HOME nor HOME is an absolute path",
        )
    })
}

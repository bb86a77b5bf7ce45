//! From resources to those that they refer to, and back: what `_include` and `_revinclude` ask for.

use std::ops::Range;

use fhir_search::key::{self, Asked};
use fhir_search::{Access, Include, Plan, Sight};
use rusqlite::{Connection, OptionalExtension};

use super::{read, rows, search};
use crate::catalogue::Catalogue;
use crate::error::ReadError;
use crate::linked::{Included, Name, ROUNDS, Walked};
use crate::sql::dialect::Dialect;
use crate::sql::resolve::resolve;
use crate::sql::row::{COLUMNS, Raw};
use crate::sql::{self, Sql};
use crate::version::Version;

/// Follows `includes` from the resources of a page; gives those of what is found that are in `window`.
pub fn included(
    connection: &Connection,
    catalogue: &Catalogue,
    page: &[Name],
    includes: &[Include],
    access: &Access,
    window: Range<usize>,
) -> Result<Included, ReadError> {
    let mut walk = Walk {
        connection,
        access,
        walked: Walked::from(page, catalogue, access, window),
    };
    let mut from = page.to_vec();
    for round in 0..ROUNDS {
        let before = walk.walked.count();
        for include in includes.iter().filter(|include| round == 0 || include.iterate) {
            for (resource_type, id) in &from {
                if include.reverse {
                    walk.backwards(include, resource_type, id)?;
                } else {
                    walk.forwards(include, resource_type, id)?;
                }
                if walk.walked.is_cut() {
                    return Ok(walk.walked.finish());
                }
            }
        }
        from = walk.walked.since(before);
        if from.is_empty() {
            break;
        }
    }
    Ok(walk.walked.finish())
}

struct Walk<'a> {
    connection: &'a Connection,
    access: &'a Access,
    walked: Walked<'a>,
}

impl Walk<'_> {
    /// To what a resource refers to.
    fn forwards(&mut self, include: &Include, resource_type: &str, id: &str) -> Result<(), ReadError> {
        let parameters = self.walked.parameters(include, Some(resource_type));
        let Some(number) = self.walked.catalogue.type_number(resource_type) else {
            return Ok(());
        };
        if parameters.is_empty() {
            return Ok(());
        }
        let text = format!(
            "SELECT DISTINCT v.text FROM res r CROSS JOIN ix_exact x INDEXED BY ix_exact_pk ON x.pk = r.pk \
             CROSS JOIN val v ON v.id = x.val WHERE r.type = ?1 AND r.id = ?2 AND x.param IN ({})",
            sql::list(&parameters)
        );
        let mut select = self.connection.prepare_cached(&text)?;
        let targets = select.query_map((number, id), |row| row.get::<_, String>(0))?;
        for target in targets {
            let target = target?;
            let text = key::text(&target);
            if text.contains(':') {
                self.by_url(include, text)?;
                continue;
            }
            let Some((of, id)) = text.split_once('/') else {
                continue;
            };
            let wanted = include.target.is_none_or(|target| target == of);
            if !wanted || self.walked.is_known(of, id) {
                continue;
            }
            if let Some(version) = self.current(of, id)? {
                self.walked.take(version);
            }
        }
        Ok(())
    }

    /// To the resources that have a URL, of any version.
    fn by_url(&mut self, include: &Include, url: &str) -> Result<(), ReadError> {
        let urls: Vec<i64> = self.walked.urls(include, None);
        let Some(value) = rows::find(self.connection, &key::uri(url))? else {
            return Ok(());
        };
        let text = format!(
            "SELECT r.type, r.id FROM ix_exact y CROSS JOIN res r ON r.pk = y.pk WHERE y.param IN ({}) AND y.val = ?1 \
             ORDER BY y.pk",
            sql::list(&urls)
        );
        let mut select = self.connection.prepare_cached(&text)?;
        let found = select.query_map([value], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        for target in found {
            let (of, id) = target?;
            let of = self.walked.catalogue.type_name(of);
            if !self.walked.is_known(of, &id)
                && let Some(version) = self.current(of, &id)?
            {
                self.walked.take(version);
            }
        }
        Ok(())
    }

    /// The keys that references to a resource have: by its type and id, and by its URLs.
    fn own(&self, include: &Include, resource_type: &str, id: &str) -> Result<Vec<String>, ReadError> {
        let mut own = vec![key::reference(&format!("{resource_type}/{id}"))];
        let urls = self.walked.urls(include, Some(resource_type));
        if let (Some(number), [url]) = (self.walked.catalogue.type_number(resource_type), urls.as_slice()) {
            let text = "SELECT v.text FROM res r CROSS JOIN ix_exact x INDEXED BY ix_exact_pk ON x.pk = r.pk \
                        CROSS JOIN val v ON v.id = x.val WHERE r.type = ?1 AND r.id = ?2 AND x.param = ?3";
            let mut select = self.connection.prepare_cached(text)?;
            let found = select.query_map((number, id, url), |row| row.get::<_, String>(0))?;
            for url in found {
                own.push(key::reference(key::text(&url?)));
            }
        }
        Ok(own)
    }

    /// The resource, if it is there and seen.
    fn current(&self, of: &str, id: &str) -> Result<Option<Version>, ReadError> {
        let filter = match self.access.of(of) {
            Sight::Nothing => return Ok(None),
            Sight::Everything => {
                let found = read::current(self.connection, self.walked.catalogue, of, id)?;
                return Ok(found.filter(Version::is_live));
            }
            Sight::Where(filter) => filter,
        };
        let plan = Plan::of_one(of, id, vec![filter]);
        let page = search::page(self.connection, self.walked.catalogue, &plan, 1, None)?;
        Ok(page.entries.into_iter().next())
    }

    /// To what refers to a resource.
    fn backwards(&mut self, include: &Include, resource_type: &str, id: &str) -> Result<(), ReadError> {
        if include.target.is_some_and(|target| target != resource_type) {
            return Ok(());
        }
        let parameters = self.walked.parameters(include, None);
        let mut values = Vec::new();
        for own in self.own(include, resource_type, id)? {
            values.extend(rows::find(self.connection, &own)?);
        }
        if values.is_empty() {
            return Ok(());
        }
        let mut query = Sql::plain(format!(
            "SELECT DISTINCT l.pk FROM ix_exact l WHERE l.param IN ({}) AND l.val IN ({})",
            sql::list(&parameters),
            sql::marks(values.len())
        ));
        for value in values {
            query.bind(value);
        }
        if let Some(filter) = self.access.filter() {
            let mut find = |param, asked: Asked<'_>| rows::asked(self.connection, param, asked);
            let seen = resolve(self.walked.catalogue, &filter, &mut find)?;
            query.push(" AND EXISTS (SELECT 1 FROM res r WHERE r.pk = l.pk");
            query.and(seen.probe(Dialect::Sqlite, "r.pk"));
            query.push(")");
        }
        query.append(Sql::with(" ORDER BY l.pk LIMIT ?", self.walked.most()));
        let mut select = self.connection.prepare_cached(&query.text)?;
        let found = select.query_map(rusqlite::params_from_iter(query.arguments), |row| row.get(0))?;
        for pk in found {
            let pk: i64 = pk?;
            let text = format!("SELECT {COLUMNS}, r.id FROM res r WHERE r.pk = ?1 AND r.body IS NOT NULL");
            let mut select = self.connection.prepare_cached(&text)?;
            let Some(raw) = select.query_row([pk], Raw::of).optional()? else {
                continue;
            };
            let version = raw.serve(self.walked.catalogue)?;
            if !self.walked.is_known(&version.resource_type, &version.id) {
                self.walked.take(version);
            }
        }
        Ok(())
    }
}

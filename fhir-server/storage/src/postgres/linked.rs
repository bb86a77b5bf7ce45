//! From resources to those that they refer to, and back: what `_include` and `_revinclude` ask for. A round has two
//! statements for an include, however many resources it begins with.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::ops::Range;

use fhir_search::key::{self, Asked};
use fhir_search::{Access, Include};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::texts::{Texts, Wanted};
use super::value;
use crate::catalogue::Catalogue;
use crate::error::ReadError;
use crate::linked::{Included, Name, ROUNDS, Walked};
use crate::sql::Sql;
use crate::sql::dialect::Dialect;
use crate::sql::resolve::resolve;
use crate::sql::row::Raw;

const REFERENCES: &str = "SELECT v.text FROM unnest($1::int8[], $2::text[]) WITH ORDINALITY n (type, id, at) \
     JOIN LATERAL (SELECT r.pk FROM res r WHERE r.type = n.type AND r.id = n.id OFFSET 0) r ON TRUE \
     JOIN LATERAL (SELECT x.val FROM ix_exact x WHERE x.pk = r.pk AND x.param + 0 = ANY ($3) OFFSET 0) x ON TRUE \
     JOIN LATERAL (SELECT v.text FROM val v WHERE v.id = x.val OFFSET 0) v ON TRUE ORDER BY n.at, v.text";
const NAMED: &str = "SELECT r.type, r.ver, r.upd, r.kind, r.dict, r.body, r.pk, r.id \
     FROM unnest($1::int8[], $2::text[]) WITH ORDINALITY n (type, id, at) \
     JOIN LATERAL (SELECT r.* FROM res r WHERE r.type = n.type AND r.id = n.id OFFSET 0) r ON TRUE \
     WHERE r.body IS NOT NULL";
/// The resources that have the URLs: by the numbers of their keys.
const NAMED_BY_URL: &str = "SELECT n.at, r.type, r.id FROM unnest($1::int8[], $2::int8[]) n (val, at) \
     JOIN LATERAL (SELECT y.pk FROM ix_exact y WHERE y.param = ANY ($3) AND y.val = n.val OFFSET 0) y ON TRUE \
     JOIN LATERAL (SELECT r.type, r.id FROM res r WHERE r.pk = y.pk OFFSET 0) r ON TRUE ORDER BY n.at, y.pk";
/// Each of the referring resources is seen: `SEEN` is a test of it.
const REFERRING: &str = "SELECT r.type, r.ver, r.upd, r.kind, r.dict, r.body, r.pk, r.id \
     FROM unnest($1::int8[]) WITH ORDINALITY n (val, at) \
     JOIN LATERAL (SELECT DISTINCT l.pk FROM ix_exact l WHERE l.param = ANY ($2) AND l.val = n.val \
     AND EXISTS (SELECT 1 FROM res r WHERE r.pk = l.pk AND r.body IS NOT NULL AND SEEN OFFSET 0) \
     ORDER BY l.pk LIMIT $3) y ON TRUE JOIN LATERAL (SELECT r.* FROM res r WHERE r.pk = y.pk OFFSET 0) r ON TRUE \
     ORDER BY n.at, r.pk";

/// Follows `includes` from the resources of a page; gives those of what is found that are in
/// `window`.
pub async fn included(
    connection: &mut PgConnection,
    catalogue: &Catalogue,
    texts: &Texts,
    page: &[Name],
    (includes, access): (&[Include], &Access),
    window: Range<usize>,
) -> Result<Included, ReadError> {
    let seen = match access.filter() {
        None => Sql::plain("TRUE"),
        Some(filter) => {
            let numbers = texts
                .of_filters(connection, catalogue, std::slice::from_ref(&filter))
                .await?;
            let mut find = |param, asked: Asked<'_>| Ok::<_, Infallible>(numbers.of(param, asked));
            let Ok(condition) = resolve(catalogue, &filter, &mut find);
            condition.probe(Dialect::Postgres, "r.pk")
        }
    };
    let mut walk = Walk {
        sight: seen,
        walked: Walked::from(page, catalogue, access, window),
    };
    let mut from = page.to_vec();
    for round in 0..ROUNDS {
        let before = walk.walked.count();
        for include in includes.iter().filter(|include| round == 0 || include.iterate) {
            if include.reverse {
                walk.backwards(connection, texts, include, &from).await?;
            } else {
                walk.forwards(connection, texts, include, &from).await?;
            }
            if walk.walked.is_cut() {
                return Ok(walk.walked.finish());
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
    /// The test of a resource `r` that is seen.
    sight: Sql,
    walked: Walked<'a>,
}

impl Walk<'_> {
    /// To what resources refer to.
    async fn forwards(
        &mut self,
        connection: &mut PgConnection,
        texts: &Texts,
        include: &Include,
        from: &[Name],
    ) -> Result<(), ReadError> {
        let mut by_type: HashMap<&str, Vec<i64>> = HashMap::new();
        for (of, _) in from {
            by_type
                .entry(of)
                .or_insert_with(|| self.walked.parameters(include, Some(of)));
        }
        let parameters: BTreeSet<i64> = by_type.values().flatten().copied().collect();
        let (types, ids) = self.columns(from.iter().filter(|(of, _)| !by_type[of.as_str()].is_empty()));
        if types.is_empty() {
            return Ok(());
        }
        let parameters: Vec<i64> = parameters.into_iter().collect();
        let rows = sqlx::query(REFERENCES)
            .bind(types)
            .bind(ids)
            .bind(parameters)
            .fetch_all(&mut *connection)
            .await?;
        let targets = rows.iter().map(|row| row.try_get(0));
        let targets: Vec<String> = targets.collect::<Result<_, _>>()?;
        let by_url = self.by_url(connection, texts, include, &targets).await?;
        let mut wanted: Vec<Name> = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            let text = key::text(target);
            if text.contains(':') {
                wanted.extend(
                    by_url
                        .iter()
                        .filter(|(place, _)| *place == at)
                        .map(|(_, name)| name.clone()),
                );
            } else if let Some((of, id)) = text.split_once('/')
                && include.target.is_none_or(|target| target == of)
                && !self.walked.is_known(of, id)
            {
                wanted.push((of.to_owned(), id.to_owned()));
            }
        }
        let (types, ids) = self.columns(wanted.iter());
        let text = format!("{NAMED} AND {} ORDER BY n.at", value::numbered(&self.sight.text, 3));
        let query = sqlx::query(AssertSqlSafe(text)).bind(types).bind(ids);
        let query = value::bind(query, self.sight.arguments.clone());
        let rows = query.fetch_all(connection).await?;
        self.take(&rows)
    }

    /// The resources that have the URLs among the targets, of any version, each with the place of its target.
    async fn by_url(
        &self,
        connection: &mut PgConnection,
        texts: &Texts,
        include: &Include,
        targets: &[String],
    ) -> Result<Vec<(usize, Name)>, ReadError> {
        let parameters = self.walked.urls(include, None);
        let urls: Vec<(usize, String)> = targets
            .iter()
            .enumerate()
            .filter(|(_, target)| target.contains(':'))
            .map(|(at, target)| (at, key::uri(key::text(target))))
            .collect();
        if parameters.is_empty() || urls.is_empty() {
            return Ok(Vec::new());
        }
        let mut asked = Wanted::default();
        for (_, url) in &urls {
            asked.add(url);
        }
        let numbers = texts.find(connection, &asked).await?;
        let known = urls
            .iter()
            .filter_map(|(at, url)| Some((numbers.get(url)?, i64::try_from(*at).ok()?)));
        let (values, places): (Vec<i64>, Vec<i64>) = known.unzip();
        let rows = sqlx::query(NAMED_BY_URL)
            .bind(values)
            .bind(places)
            .bind(parameters)
            .fetch_all(connection)
            .await?;
        let mut found = Vec::new();
        for row in rows {
            let (at, of, id): (i64, i16, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let of = self.walked.catalogue.type_name(of.into());
            if !self.walked.is_known(of, &id) {
                found.push((usize::try_from(at).unwrap_or_default(), (of.to_owned(), id)));
            }
        }
        Ok(found)
    }

    /// To what refers to resources.
    async fn backwards(
        &mut self,
        connection: &mut PgConnection,
        texts: &Texts,
        include: &Include,
        from: &[Name],
    ) -> Result<(), ReadError> {
        let targets = || {
            from.iter()
                .filter(|(of, _)| include.target.is_none_or(|target| target == of))
        };
        let mut own: Vec<String> = targets()
            .map(|(of, id)| key::reference(&format!("{of}/{id}")))
            .collect();
        let parameters = self.walked.parameters(include, None);
        let urls = self.walked.urls(include, None);
        if !urls.is_empty() {
            let (types, ids) = self.columns(targets());
            let rows = sqlx::query(REFERENCES)
                .bind(types)
                .bind(ids)
                .bind(urls)
                .fetch_all(&mut *connection)
                .await?;
            for row in rows {
                own.push(key::reference(key::text(row.try_get(0)?)));
            }
        }
        if own.is_empty() || parameters.is_empty() {
            return Ok(());
        }
        let mut wanted = Wanted::default();
        for key in &own {
            wanted.add(key);
        }
        let numbers = texts.find(connection, &wanted).await?;
        let values: Vec<i64> = own.iter().filter_map(|text| numbers.get(text)).collect();
        if values.is_empty() {
            return Ok(());
        }
        let text = REFERRING.replace("SEEN", &value::numbered(&self.sight.text, 4));
        let query = sqlx::query(AssertSqlSafe(text))
            .bind(values)
            .bind(parameters)
            .bind(self.walked.most());
        let query = value::bind(query, self.sight.arguments.clone());
        let rows = query.fetch_all(connection).await?;
        self.take(&rows)
    }

    /// Numbers of types, and ids.
    fn columns<'n>(&self, names: impl Iterator<Item = &'n Name>) -> (Vec<i64>, Vec<String>) {
        names
            .filter_map(|(of, id)| Some((self.walked.catalogue.type_number(of)?, id.clone())))
            .unzip()
    }

    fn take(&mut self, rows: &[sqlx::postgres::PgRow]) -> Result<(), ReadError> {
        for row in rows {
            let raw = Raw::of_row(row)?;
            if self
                .walked
                .is_known(self.walked.catalogue.type_name(raw.type_number), &raw.id)
            {
                continue;
            }
            self.walked.take(raw.serve(self.walked.catalogue)?);
            if self.walked.is_cut() {
                break;
            }
        }
        Ok(())
    }
}

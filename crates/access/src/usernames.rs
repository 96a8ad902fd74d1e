//! Names by id, for showing who did something: of users and keys alike, disabled and revoked ones too.
//!
//! A name never changes once it is given, so a name in memory is good for ever.

use std::collections::HashMap;
use std::sync::Arc;

use quick_cache::sync::Cache;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::database::Row;
use crate::{AccessError, Accounts};

/// Bound parameters in one statement; both databases take far more.
const IDS_PER_QUERY: usize = 500;

pub(crate) struct Usernames {
    by_id: Cache<Uuid, Arc<str>>,
}

impl Usernames {
    pub(crate) fn new(cached_max: usize) -> Usernames {
        Usernames {
            by_id: Cache::new(cached_max),
        }
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<str>> {
        self.by_id.get(&id)
    }
}

impl Accounts {
    /// The username of a user or the name of a key, whichever has this id; `None` where neither has.
    pub async fn username(&self, id: Uuid) -> Result<Option<Arc<str>>, AccessError> {
        if let Some(name) = self.username_in_memory(id) {
            return Ok(Some(name));
        }
        Ok(self.usernames(&[id]).await?.remove(&id))
    }

    /// The same if it is in memory, without waiting for anything.
    pub fn username_in_memory(&self, id: Uuid) -> Option<Arc<str>> {
        self.names_in_memory().get(id)
    }

    /// Many at once. Ids that nobody has are missing from the answer.
    pub async fn usernames(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Arc<str>>, AccessError> {
        let mut names = HashMap::with_capacity(ids.len());
        let mut unknown = Vec::new();
        for id in ids {
            if let Some(name) = self.username_in_memory(*id) {
                names.insert(*id, name);
            } else {
                unknown.push(*id);
            }
        }
        for some in unknown.chunks(IDS_PER_QUERY) {
            for (id, name) in self.usernames_in_database(some).await? {
                let name: Arc<str> = name.into();
                self.names_in_memory().by_id.insert(id, name.clone());
                names.insert(id, name);
            }
        }
        Ok(names)
    }

    async fn usernames_in_database(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, String)>, AccessError> {
        let wanted: Vec<String> = (1..=ids.len()).map(|n| format!("(${n})")).collect();
        let sql = format!(
            "with wanted (id) as (values {})
             select id, username as name from users where id in (select id from wanted)
             union all select id, name from api_keys where id in (select id from wanted)",
            wanted.join(", ")
        );
        let mut reader = self.db().reader().await?;
        // Nothing of it but the count comes from outside.
        let query = reader.query(AssertSqlSafe(sql));
        let rows = ids
            .iter()
            .fold(query, |query, id| query.bind(*id))
            .fetch_all()
            .await?;
        let name = |row: &Row| Ok((row.try_get("id")?, row.try_get("name")?));
        rows.iter().map(name).collect()
    }
}

//! Tags, positions and links.

use access::{Link, SecretHash};
use metering::{GatewayId, SiteId, UserId};
use rusqlite::{Connection, params};

use super::rows::{self, Trouble};
use super::{Sqlite, people};
use crate::branches::{self, Branch, Tag, TagChange, TagId, Tree, WrongTag};
use crate::columns;
use crate::repository::{
    Branches, LinkUse, Links, Person, Position, RepositoryError, USES, written_link,
};

impl Branches for Sqlite {
    async fn tags(&self) -> Result<Vec<Tag>, RepositoryError> {
        self.read("list the tags", tags).await
    }

    async fn change_tags(
        &self,
        change: TagChange,
    ) -> Result<Result<(), WrongTag>, RepositoryError> {
        self.write("change the tags", move |db| change_tags(db, &change)).await
    }

    async fn tagged(&self) -> Result<Vec<(SiteId, Vec<TagId>)>, RepositoryError> {
        self.read("list the tags", tagged).await
    }

    async fn tag_site(&self, site: SiteId, tags: Vec<TagId>) -> Result<bool, RepositoryError> {
        self.write("change a site", move |db| {
            let id = site.uuid();
            let text = columns::words_text(&tags);
            let changed = db
                .execute("UPDATE site SET tags = ?2 WHERE id = ?1", params![id.as_bytes(), text])?;
            Ok(changed > 0)
        })
        .await
    }

    async fn place_site(
        &self,
        site: SiteId,
        position: Option<Position>,
    ) -> Result<bool, RepositoryError> {
        self.write("change a site", move |db| {
            let changed = db.execute(
                "UPDATE site SET latitude_udeg = ?2, longitude_udeg = ?3 WHERE id = ?1",
                params![
                    site.uuid().as_bytes(),
                    position.map(|it| it.latitude_udeg),
                    position.map(|it| it.longitude_udeg),
                ],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    async fn note_version(
        &self,
        gateway: GatewayId,
        version: String,
    ) -> Result<(), RepositoryError> {
        self.write("keep a version", move |db| {
            db.execute(
                "UPDATE gateway SET version = ?2 WHERE id = ?1",
                params![gateway.uuid().as_bytes(), version],
            )?;
            Ok(())
        })
        .await
    }
}

impl Links for Sqlite {
    async fn open_link(
        &self,
        hash: SecretHash,
        used: LinkUse,
    ) -> Result<Option<Person>, RepositoryError> {
        self.write("open a link", move |db| open_link(db, hash, &used)).await
    }

    async fn renew_link(&self, id: UserId, link: Link) -> Result<bool, RepositoryError> {
        self.write("keep a link", move |db| {
            let changed = put_link(db, id, &link)?;
            people::end_sessions(db, id, None)?;
            Ok(changed)
        })
        .await
    }

    async fn link_uses(&self, id: UserId) -> Result<Vec<LinkUse>, RepositoryError> {
        self.read("list the uses of a link", move |db| link_uses(db, id)).await
    }
}

fn tags(db: &Connection) -> Result<Vec<Tag>, Trouble> {
    let mut statement = db.prepare_cached("SELECT id, parent, name FROM tag")?;
    let mut found = statement.query([])?;
    let mut tags = Vec::new();
    while let Some(row) = found.next()? {
        let parent: Option<[u8; 16]> = row.get("parent")?;
        tags.push(Tag {
            id: TagId::from_uuid(rows::uuid(row, "id")?),
            parent: parent.map(|id| TagId::from_uuid(uuid::Uuid::from_bytes(id))),
            name: row.get("name")?,
        });
    }
    Ok(tags)
}

fn change_tags(db: &Connection, change: &TagChange) -> Result<Result<(), WrongTag>, Trouble> {
    let tree = Tree::new(tags(db)?);
    if let Err(wrong) = tree.check(change) {
        return Ok(Err(wrong));
    }
    match change {
        TagChange::Put(Tag { id, parent, name }) => {
            let parent = parent.map(TagId::uuid);
            db.execute(
                "INSERT INTO tag (id, parent, name) VALUES (?1, ?2, ?3)
                     ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, name = excluded.name",
                params![id.uuid().as_bytes(), parent.as_ref().map(uuid::Uuid::as_bytes), name],
            )?;
        }
        TagChange::Remove(id) => {
            let mut statement = db.prepare("SELECT grants FROM person WHERE grants IS NOT NULL")?;
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                let grants: String = row.get("grants")?;
                if branches::read(&grants).iter().any(|it| it.on == Branch::Tag(*id)) {
                    return Ok(Err(WrongTag::Used));
                }
            }
            db.execute("DELETE FROM tag WHERE id = ?1", [id.uuid().as_bytes()])?;
            for (site, mut tags) in tagged(db)? {
                if tags.contains(id) {
                    tags.retain(|it| it != id);
                    let text = columns::words_text(&tags);
                    db.execute(
                        "UPDATE site SET tags = ?2 WHERE id = ?1",
                        params![site.uuid().as_bytes(), text],
                    )?;
                }
            }
        }
    }
    Ok(Ok(()))
}

fn tagged(db: &Connection) -> Result<Vec<(SiteId, Vec<TagId>)>, Trouble> {
    let mut statement = db.prepare_cached("SELECT id, tags FROM site WHERE tags <> ''")?;
    let mut found = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        let tags: String = row.get("tags")?;
        all.push((SiteId::from_uuid(rows::uuid(row, "id")?), columns::words(&tags)));
    }
    Ok(all)
}

fn open_link(db: &Connection, hash: SecretHash, used: &LinkUse) -> Result<Option<Person>, Trouble> {
    let Some(mut person) = people::named(db, &Link::open_name(hash))? else { return Ok(None) };
    let id = person.user.id;
    let Some(link) = person.link.as_mut().filter(|link| !link.has_ended(used.at_ms)) else {
        return Ok(None);
    };
    link.open(used.at_ms);
    put_link(db, id, link)?;
    let LinkUse { at_ms, address, agent } = used;
    db.execute(
        "INSERT INTO link_use (link, at_ms, address, agent) VALUES (?1, ?2, ?3, ?4)",
        params![id.uuid().as_bytes(), at_ms, address, agent],
    )?;
    db.execute(
        "DELETE FROM link_use
          WHERE link = ?1
            AND at_ms < (SELECT min(at_ms)
                           FROM (SELECT at_ms FROM link_use WHERE link = ?1
                                  ORDER BY at_ms DESC LIMIT ?2))",
        params![id.uuid().as_bytes(), USES],
    )?;
    Ok(Some(person))
}

fn put_link(db: &Connection, id: UserId, link: &Link) -> Result<bool, Trouble> {
    let changed = db.execute(
        "UPDATE person SET folded = ?2, link = ?3 WHERE id = ?1 AND link IS NOT NULL",
        params![id.uuid().as_bytes(), link.row_name(id), written_link(link)],
    )?;
    Ok(changed > 0)
}

fn link_uses(db: &Connection, id: UserId) -> Result<Vec<LinkUse>, Trouble> {
    let mut statement = db.prepare_cached(
        "SELECT at_ms, address, agent FROM link_use
          WHERE link = ?1 ORDER BY at_ms DESC LIMIT ?2",
    )?;
    let mut found = statement.query(params![id.uuid().as_bytes(), USES])?;
    let mut uses = Vec::new();
    while let Some(row) = found.next()? {
        uses.push(LinkUse {
            at_ms: row.get("at_ms")?,
            address: row.get("address")?,
            agent: row.get("agent")?,
        });
    }
    Ok(uses)
}

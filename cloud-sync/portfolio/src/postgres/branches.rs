//! Tags, positions and links.

use access::{Link, SecretHash};
use metering::{GatewayId, SiteId, UserId};

use super::{Access, Postgres, Trouble, Work, people};
use crate::branches::{self, Branch, Tag, TagChange, TagId, Tree, WrongTag};
use crate::columns;
use crate::repository::{
    Branches, LinkUse, Links, Person, Position, RepositoryError, USES, written_link,
};

impl Branches for Postgres {
    async fn tags(&self) -> Result<Vec<Tag>, RepositoryError> {
        transaction!(self, Access::Read, "list the tags", db, tags(&mut db))
    }

    async fn change_tags(
        &self,
        change: TagChange,
    ) -> Result<Result<(), WrongTag>, RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "change the tags", db, change_tags(&mut db, &change))
    }

    async fn tagged(&self) -> Result<Vec<(SiteId, Vec<TagId>)>, RepositoryError> {
        transaction!(self, Access::Read, "list the tags", db, tagged(&mut db))
    }

    async fn tag_site(&self, site: SiteId, tags: Vec<TagId>) -> Result<bool, RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "change a site", db, tag_site(&mut db, site, &tags))
    }

    async fn place_site(
        &self,
        site: SiteId,
        position: Option<Position>,
    ) -> Result<bool, RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "change a site", db, place_site(&mut db, site, position))
    }

    async fn note_version(
        &self,
        gateway: GatewayId,
        version: String,
    ) -> Result<(), RepositoryError> {
        let write = Access::Write;
        transaction!(self, write, "keep a version", db, note_version(&mut db, gateway, &version))
    }
}

impl Links for Postgres {
    async fn open_link(
        &self,
        hash: SecretHash,
        used: LinkUse,
    ) -> Result<Option<Person>, RepositoryError> {
        transaction!(self, Access::Write, "open a link", db, open_link(&mut db, hash, &used))
    }

    async fn renew_link(&self, id: UserId, link: Link) -> Result<bool, RepositoryError> {
        transaction!(self, Access::Write, "keep a link", db, renew_link(&mut db, id, &link))
    }

    async fn link_uses(&self, id: UserId) -> Result<Vec<LinkUse>, RepositoryError> {
        transaction!(self, Access::Read, "list the uses of a link", db, link_uses(&mut db, id))
    }
}

async fn tags(db: &mut Work<'_>) -> Result<Vec<Tag>, Trouble> {
    let mut tags = Vec::new();
    for row in db.rows("SELECT id, parent, name FROM tag", &[]).await? {
        let parent: Option<uuid::Uuid> = row.try_get("parent")?;
        tags.push(Tag {
            id: TagId::from_uuid(row.try_get("id")?),
            parent: parent.map(TagId::from_uuid),
            name: row.try_get("name")?,
        });
    }
    Ok(tags)
}

async fn change_tags(
    db: &mut Work<'_>,
    change: &TagChange,
) -> Result<Result<(), WrongTag>, Trouble> {
    // Two who move tags on two receivers make no loop.
    db.transaction.batch_execute("LOCK TABLE tag IN SHARE ROW EXCLUSIVE MODE").await?;
    let tree = Tree::new(tags(db).await?);
    if let Err(wrong) = tree.check(change) {
        return Ok(Err(wrong));
    }
    match change {
        TagChange::Put(Tag { id, parent, name }) => {
            db.change(
                "INSERT INTO tag (id, parent, name) VALUES ($1, $2, $3)
                     ON CONFLICT (id) DO UPDATE SET parent = excluded.parent, name = excluded.name",
                &[&id.uuid(), &parent.map(TagId::uuid), name],
            )
            .await?;
        }
        TagChange::Remove(id) => {
            let kept = "SELECT grants FROM person WHERE grants IS NOT NULL";
            for row in db.rows(kept, &[]).await? {
                let grants = branches::read(row.try_get("grants")?);
                if grants.iter().any(|it| it.on == Branch::Tag(*id)) {
                    return Ok(Err(WrongTag::Used));
                }
            }
            db.change("DELETE FROM tag WHERE id = $1", &[&id.uuid()]).await?;
            for (site, mut tags) in tagged(db).await? {
                if tags.contains(id) {
                    tags.retain(|it| it != id);
                    let text = columns::words_text(&tags);
                    let changed = "UPDATE site SET tags = $2 WHERE id = $1";
                    db.change(changed, &[&site.uuid(), &text]).await?;
                }
            }
        }
    }
    Ok(Ok(()))
}

async fn tagged(db: &mut Work<'_>) -> Result<Vec<(SiteId, Vec<TagId>)>, Trouble> {
    let mut all = Vec::new();
    for row in db.rows("SELECT id, tags FROM site WHERE tags <> ''", &[]).await? {
        let site = SiteId::from_uuid(row.try_get("id")?);
        all.push((site, columns::words(row.try_get("tags")?)));
    }
    Ok(all)
}

async fn tag_site(db: &mut Work<'_>, site: SiteId, tags: &[TagId]) -> Result<bool, Trouble> {
    let text = columns::words_text(tags);
    let changed = "UPDATE site SET tags = $2 WHERE id = $1";
    Ok(db.change(changed, &[&site.uuid(), &text]).await? > 0)
}

async fn place_site(
    db: &mut Work<'_>,
    site: SiteId,
    position: Option<Position>,
) -> Result<bool, Trouble> {
    let changed = db
        .change(
            "UPDATE site SET latitude_udeg = $2, longitude_udeg = $3 WHERE id = $1",
            &[
                &site.uuid(),
                &position.map(|it| it.latitude_udeg),
                &position.map(|it| it.longitude_udeg),
            ],
        )
        .await?;
    Ok(changed > 0)
}

async fn note_version(db: &mut Work<'_>, gateway: GatewayId, version: &str) -> Result<(), Trouble> {
    let changed = "UPDATE gateway SET version = $2 WHERE id = $1";
    db.change(changed, &[&gateway.uuid(), &version]).await?;
    Ok(())
}

async fn open_link(
    db: &mut Work<'_>,
    hash: SecretHash,
    used: &LinkUse,
) -> Result<Option<Person>, Trouble> {
    // Of two who open it at once both are counted.
    let lock = "SELECT id FROM person WHERE folded = $1 FOR UPDATE";
    let name = Link::open_name(hash);
    if db.row(lock, &[&name]).await?.is_none() {
        return Ok(None);
    }
    let Some(mut person) = people::named(db, &name).await? else { return Ok(None) };
    let id = person.user.id;
    let Some(link) = person.link.as_mut().filter(|link| !link.has_ended(used.at_ms)) else {
        return Ok(None);
    };
    link.open(used.at_ms);
    put_link(db, id, link).await?;
    let LinkUse { at_ms, address, agent } = used;
    db.change(
        "INSERT INTO link_use (link, at_ms, address, agent) VALUES ($1, $2, $3, $4)",
        &[&id.uuid(), at_ms, address, agent],
    )
    .await?;
    db.change(
        "DELETE FROM link_use
          WHERE link = $1
            AND at_ms < (SELECT min(at_ms)
                           FROM (SELECT at_ms FROM link_use WHERE link = $1
                                  ORDER BY at_ms DESC LIMIT $2) AS newest)",
        &[&id.uuid(), &USES],
    )
    .await?;
    Ok(Some(person))
}

async fn renew_link(db: &mut Work<'_>, id: UserId, link: &Link) -> Result<bool, Trouble> {
    let changed = put_link(db, id, link).await?;
    people::end_sessions(db, id, None).await?;
    Ok(changed)
}

async fn put_link(db: &mut Work<'_>, id: UserId, link: &Link) -> Result<bool, Trouble> {
    let changed = "UPDATE person SET folded = $2, link = $3 WHERE id = $1 AND link IS NOT NULL";
    let (name, kept) = (link.row_name(id), written_link(link));
    Ok(db.change(changed, &[&id.uuid(), &name, &kept]).await? > 0)
}

async fn link_uses(db: &mut Work<'_>, id: UserId) -> Result<Vec<LinkUse>, Trouble> {
    let asked = "SELECT at_ms, address, agent FROM link_use
          WHERE link = $1 ORDER BY at_ms DESC LIMIT $2";
    let mut uses = Vec::new();
    for row in db.rows(asked, &[&id.uuid(), &USES]).await? {
        uses.push(LinkUse {
            at_ms: row.try_get("at_ms")?,
            address: row.try_get("address")?,
            agent: row.try_get("agent")?,
        });
    }
    Ok(uses)
}

//! What the portfolio asks of this gateway, fetched over the gateway's own connection.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use sync_wire::{ErrandAsked, ErrandStand, ErrandsAsked, ErrandsTold, path};

use crate::books::give;
use crate::identity::Identity;
use crate::post::{Post, SyncError};
use crate::way::Way;

/// A connection over which errands are fetched, under one identity.
#[derive(Debug)]
pub struct Errands {
    identity: Arc<Identity>,
    post: Post,
}

impl Errands {
    /// With this identity, by this way.
    ///
    /// # Errors
    ///
    /// [`SyncError`] if the identity cannot be used.
    pub fn new(identity: Arc<Identity>, way: Way) -> Result<Self, SyncError> {
        let post = Post::as_gateway(&identity, way)?;
        Ok(Self { identity, post })
    }

    /// Whether it is under this identity.
    pub fn is_of(&self, identity: &Arc<Identity>) -> bool {
        Arc::ptr_eq(&self.identity, identity)
    }

    /// Tells how the errands stand that are known here, and hears which are open.
    ///
    /// # Errors
    ///
    /// [`SyncError`]
    pub async fn exchange(
        &mut self,
        stands: Vec<ErrandStand>,
    ) -> Result<Vec<ErrandAsked>, SyncError> {
        let told = ErrandsTold { gateway: self.identity.gateway(), stands };
        let asked = self.post.post(path::ERRANDS, told.write(), ErrandsAsked::read).await?;
        Ok(asked.errands)
    }

    /// Sends the diagnosis bundle that was asked for, part by part. One that was begun and is the same goes
    /// on where it ended.
    ///
    /// # Errors
    ///
    /// [`SyncError`]; the portfolio refuses one that nobody asks for any more.
    pub async fn send_bundle(&mut self, bundle: &[u8]) -> Result<(), SyncError> {
        let sha256 = Sha256::digest(bundle).into();
        give(&mut self.post, path::BUNDLE, self.identity.gateway(), sha256, bundle).await
    }
}

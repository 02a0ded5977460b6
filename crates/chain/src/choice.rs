//! Owns what a node and its feed share: which URL is asked, and the newest head that was announced since somebody looked.

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::Header;
use tokio::sync::watch;

/// Which URL is asked, and what was announced.
#[derive(Debug)]
pub(crate) struct Choice {
    pinned: watch::Sender<usize>,
    /// Whether the URL never changes.
    pub(crate) fixed: bool,
    news: Mutex<News>,
}

#[derive(Debug, Default)]
struct News {
    // Counts the announced heads.
    announced: u64,
    // Of which so many were there when the reader looked last.
    seen: u64,
    head: Option<(usize, Header)>,
}

impl Choice {
    pub(crate) fn new(pinned: usize, fixed: bool) -> Self {
        Self { pinned: watch::Sender::new(pinned), fixed, news: Mutex::default() }
    }

    pub(crate) fn pinned(&self) -> usize {
        *self.pinned.borrow()
    }

    /// Pins a URL; returns the one before where that was another.
    pub(crate) fn pin(&self, index: usize) -> Option<usize> {
        if self.fixed {
            return None;
        }
        let mut before = None;
        self.pinned.send_if_modified(|pinned| {
            let changed = *pinned != index;
            if changed {
                before = Some(std::mem::replace(pinned, index));
            }
            changed
        });
        before
    }

    /// Tells whenever another URL is pinned.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.pinned.subscribe()
    }

    /// Keeps the head in place of an older one; returns its number among all announced ones.
    pub(crate) fn announce(&self, index: usize, head: &Header) -> u64 {
        let mut news = self.news();
        news.announced += 1;
        news.head = Some((index, *head));
        news.announced
    }

    /// The newest head since the last look, with the URL that announced it. The look makes the announcements so far old.
    pub(crate) fn look(&self) -> Option<(usize, Header)> {
        let mut news = self.news();
        news.seen = news.announced;
        news.head.take()
    }

    /// Whether the reader looked since this announcement.
    pub(crate) fn is_old(&self, announcement: u64) -> bool {
        announcement <= self.news().seen
    }

    /// Forgets what a URL announced: its subscription broke, or it is no longer believed.
    pub(crate) fn forget(&self, index: usize) {
        self.news().head.take_if(|(from, _)| *from == index);
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

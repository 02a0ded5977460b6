//! One recipient, one window, very many hits: one notification, by statements and rows that do not grow with the square.
//! What it takes in time and memory says `scripts/bench full_window`.

use tracing::Instrument as _;

use crate::{
    metered::{Meter, Metered},
    one_window::OneWindow,
    world::{World, on_both_stores},
};

on_both_stores!(
    thousands_of_hits_of_one_window_become_one_notification,
    four_times_the_hits_take_four_times_the_statements_and_rows_and_no_more,
);

async fn thousands_of_hits_of_one_window_become_one_notification(world: World) -> anyhow::Result<()> {
    let mut window = OneWindow::around(world).await?;
    window.gather(5_000).await?;
    assert_eq!(window.close().await?, [5_000]);
    Ok(())
}

/// What it took to gather so many hits, and to close their window.
async fn takes(window: &mut OneWindow, hits: u64) -> anyhow::Result<[Metered; 2]> {
    let (gathering, closing) = (Meter::new(), Meter::new());
    window.gather(hits).instrument(gathering.span()).await?;
    window.close().instrument(closing.span()).await?;
    Ok([gathering.read(), closing.read()])
}

async fn four_times_the_hits_take_four_times_the_statements_and_rows_and_no_more(
    world: World,
) -> anyhow::Result<()> {
    let mut window = OneWindow::around(world).await?;
    let less = takes(&mut window, 1_000).await?;
    let more = takes(&mut window, 4_000).await?;
    for (less, more) in less.iter().zip(&more) {
        assert!(less.statements > 0 && less.rows >= 1_000, "the meter runs: {less:?}");
        // The square would be sixteen times; a fifth of the way there is for pages that are cut elsewhere.
        assert!(more.statements <= 5 * less.statements, "{less:?}, then {more:?}");
        assert!(more.rows <= 5 * less.rows, "{less:?}, then {more:?}");
    }
    assert_eq!(window.close().await?, [1_000, 4_000]);
    Ok(())
}

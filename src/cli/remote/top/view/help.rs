//! The page of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Block, Clear, Paragraph, Widget as _};

const TEXT: &str = "\
↑ ↓  j k          one row up or down
PgUp PgDn         one page
Home End  g G     to the beginning, to the end
Tab               backends, routes, or events
s                 sort by the next column (▼); r: the other way
/                 show only names with …; Esc: all
p                 hold the picture; again: go on
d                 drain the backend: no new clients
m                 maintenance: nothing new at all
e                 enable it again
w                 its weight: a number, or file
                  (each asks first: y or n)
q  Ctrl-C         quit

● up  ▲ slow start  ‖ paused  ◐ drain
■ maintenance  ◆ ejected  ✕ down  ○ unknown

Rates are of the last second; errors, shares
and times of the last 10 to 20 seconds.";

/// Its columns and lines, with the frame.
const SIZE: (u16, u16) = (66, 22);

pub(super) fn draw(canvas: &mut Buffer, area: Rect) {
    let (width, height) = (SIZE.0.min(area.width), SIZE.1.min(area.height));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let place = Rect { x, y, width, height };
    Clear.render(place, canvas);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let block = Block::bordered().title_top(" keys (any key goes back) ").title_style(bold);
    Paragraph::new(TEXT).block(block).render(place, canvas);
}

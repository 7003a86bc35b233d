/** How a seat, a row's label and the front are drawn on a canvas whose unit is the world's. */
import type { DrawnHall } from "./draw-tile";
import { type HallRow, PITCH, SEAT, stageSize } from "./hall";
import type { Palette } from "./palette";
import { BLOCKED, FREE, HELD } from "./statuses";

/** What is shown at a size: specks from afar, then shapes, then numbers. In screen pixels of a seat's width. */
export const SHAPES_FROM_PX = 6;
export const NUMBERS_FROM_PX = 15;
export const LABELS_FROM_PX = 7;

/** Beside its status, what a seat is to whoever looks: chosen, or theirs already. */
export const PLAIN = 0;
export const CHOSEN = 1;
export const MINE = 2;

export interface Look {
  status(seat: number): number;
  mark(seat: number): number;
  /** Seats that stand back, as those of other categories when one is looked for. */
  faded(seat: number): boolean;
}

export interface Painter {
  hall: DrawnHall;
  palette: Palette;
  look: Look;
  /** Screen pixels of a world unit. */
  scale: number;
}

const HALF = SEAT / 2;
export const SANS = '"Inter Variable", system-ui, sans-serif';
export const SERIF = '"Fraunces Variable", Georgia, serif';

export type Canvas = CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D;

/** The seats of a row from one to another, as far as they are. */
export function paintSeats(canvas: Canvas, painter: Painter, from: number, to: number): void {
  const near = SEAT * painter.scale;
  for (let seat = from; seat < to; seat++) {
    if (near < SHAPES_FROM_PX) paintSpeck(canvas, painter, seat);
    else paintSeat(canvas, painter, seat);
  }
}

function paintSpeck(canvas: Canvas, { hall, palette, look }: Painter, seat: number): void {
  const x = hall.x[seat] ?? 0;
  const y = hall.y[seat] ?? 0;
  const status = look.status(seat);
  const mark = look.mark(seat);
  canvas.globalAlpha = look.faded(seat) ? 0.25 : 1;
  if (mark !== PLAIN) {
    canvas.fillStyle = palette.ink;
    canvas.fillRect(x - PITCH / 2, y - PITCH / 2, PITCH, PITCH);
  } else if (status === FREE) {
    canvas.fillStyle = palette.categories[hall.category[seat] ?? 0]?.fill ?? palette.ink;
    canvas.fillRect(x - HALF, y - HALF, SEAT, SEAT);
  } else {
    const half = status === HELD ? HALF * 0.6 : HALF * 0.42;
    canvas.fillStyle = status === HELD ? palette.held : palette.gone;
    canvas.fillRect(x - half, y - half, half * 2, half * 2);
  }
}

/** A seat from above: its back is rounder than its front. */
function seatShape(canvas: Canvas, x: number, y: number, half: number): void {
  canvas.beginPath();
  canvas.roundRect(x - half, y - half, half * 2, half * 2, [
    half * 0.35,
    half * 0.35,
    half * 0.7,
    half * 0.7,
  ]);
}

function paintSeat(canvas: Canvas, { hall, palette, look, scale }: Painter, seat: number): void {
  const x = hall.x[seat] ?? 0;
  const y = hall.y[seat] ?? 0;
  const color = palette.categories[hall.category[seat] ?? 0];
  const status = look.status(seat);
  const mark = look.mark(seat);
  canvas.globalAlpha = look.faded(seat) ? 0.22 : 1;
  canvas.lineWidth = Math.max(1.2, 1 / scale);

  if (mark === MINE) {
    seatShape(canvas, x, y, HALF + 0.5);
    canvas.fillStyle = palette.ink;
    canvas.fill();
    tick(canvas, x, y, palette.paper);
  } else if (mark === CHOSEN) {
    seatShape(canvas, x, y, HALF - 2);
    canvas.fillStyle = color?.fill ?? palette.ink;
    canvas.fill();
    tick(canvas, x, y, color?.text ?? palette.paper);
    seatShape(canvas, x, y, HALF + 1);
    canvas.lineWidth = 2.4;
    canvas.strokeStyle = palette.ink;
    canvas.stroke();
  } else if (status === FREE) {
    seatShape(canvas, x, y, HALF - 0.5);
    canvas.fillStyle = color?.fill ?? palette.ink;
    canvas.fill();
    if (color && color.edge !== color.fill) {
      canvas.strokeStyle = color.edge;
      canvas.stroke();
    }
    if (hall.accessible[seat]) wheelchair(canvas, x, y, color?.text ?? palette.paper);
    else if (SEAT * scale >= NUMBERS_FROM_PX) number(canvas, hall, seat, x, y, color?.text ?? palette.paper);
  } else if (status === HELD) {
    seatShape(canvas, x, y, HALF - 1.5);
    canvas.strokeStyle = palette.held;
    canvas.setLineDash([3.2, 2.4]);
    canvas.stroke();
    canvas.setLineDash([]);
  } else if (status === BLOCKED) {
    canvas.strokeStyle = palette.gone;
    canvas.lineWidth = 2;
    canvas.beginPath();
    canvas.moveTo(x - 4, y - 4);
    canvas.lineTo(x + 4, y + 4);
    canvas.moveTo(x + 4, y - 4);
    canvas.lineTo(x - 4, y + 4);
    canvas.stroke();
  } else {
    canvas.fillStyle = palette.gone;
    canvas.beginPath();
    canvas.arc(x, y, 3.2, 0, Math.PI * 2);
    canvas.fill();
  }
}

function tick(canvas: Canvas, x: number, y: number, color: string): void {
  canvas.strokeStyle = color;
  canvas.lineWidth = 2.2;
  canvas.lineCap = "round";
  canvas.lineJoin = "round";
  canvas.beginPath();
  canvas.moveTo(x - 3.8, y + 0.2);
  canvas.lineTo(x - 1, y + 3);
  canvas.lineTo(x + 4, y - 3);
  canvas.stroke();
}

function number(canvas: Canvas, hall: DrawnHall, seat: number, x: number, y: number, color: string): void {
  const text = hall.numbers[seat] ?? "";
  if (text.length > 5) return; // the bar at the bottom tells it
  canvas.fillStyle = color;
  canvas.font = `600 ${text.length > 4 ? 5 : text.length > 3 ? 6 : text.length > 2 ? 7.4 : 9}px ${SANS}`;
  canvas.textAlign = "center";
  canvas.textBaseline = "middle";
  canvas.fillText(text, x, y + 0.6);
}

/** The wheelchair sign, in strokes that stay legible at 15 px. */
function wheelchair(canvas: Canvas, x: number, y: number, color: string): void {
  canvas.strokeStyle = color;
  canvas.fillStyle = color;
  canvas.lineWidth = 1.5;
  canvas.lineCap = "round";
  canvas.lineJoin = "round";
  canvas.beginPath();
  canvas.arc(x - 0.6, y - 5.2, 1.3, 0, Math.PI * 2);
  canvas.fill();
  canvas.beginPath();
  canvas.moveTo(x - 0.6, y - 3);
  canvas.lineTo(x - 0.6, y + 1);
  canvas.lineTo(x + 2.6, y + 1);
  canvas.lineTo(x + 4.2, y + 4.6);
  canvas.moveTo(x - 0.6, y - 1.2);
  canvas.lineTo(x + 2.2, y - 1.2);
  canvas.stroke();
  canvas.beginPath();
  canvas.arc(x - 0.9, y + 2.2, 3.2, 0.15 * Math.PI, 1.35 * Math.PI);
  canvas.stroke();
}

/** Its letter at both ends of a row; its section's name over the first. */
export function paintRowLabels(canvas: Canvas, { hall, palette, scale }: Painter, row: HallRow): void {
  if (SEAT * scale < LABELS_FROM_PX) return;
  const last = row.first + row.count - 1;
  canvas.globalAlpha = 1;
  canvas.fillStyle = palette.soft;
  canvas.font = `560 ${row.label.length > 3 ? 8 : 11}px ${SANS}`;
  canvas.textBaseline = "middle";
  const text = row.label.length > 6 ? `${row.label.slice(0, 5)}…` : row.label;
  canvas.textAlign = "right";
  canvas.fillText(text, (hall.x[row.first] ?? 0) - PITCH * 0.66, hall.y[row.first] ?? 0);
  canvas.textAlign = "left";
  canvas.fillText(text, (hall.x[last] ?? 0) + PITCH * 0.66, hall.y[last] ?? 0);
}

export function paintSectionName(canvas: Canvas, painter: Painter, sectionNo: number): void {
  const { hall, palette, scale } = painter;
  const section = hall.sections[sectionNo];
  if (!section || SEAT * scale < LABELS_FROM_PX || hall.sections.length < 2) return;
  const first = hall.rows[section.rows[0] ?? 0];
  if (!first) return;
  const middle = first.first + Math.floor(first.count / 2);
  canvas.globalAlpha = 1;
  canvas.fillStyle = palette.ink;
  canvas.font = `520 15px ${SERIF}`;
  canvas.textAlign = "center";
  canvas.textBaseline = "alphabetic";
  const x = (first.minX + first.maxX) / 2;
  canvas.fillText(section.name, x, (hall.y[middle] ?? 0) - PITCH * 0.95);
}

/** The stage as a shallow arc; a coach as its outline, the driver's wheel and the door. */
export function paintFront(canvas: Canvas, painter: Painter, name: string): void {
  canvas.globalAlpha = 1;
  if (painter.hall.arc) paintStage(canvas, painter, name);
  else for (const number of painter.hall.sections.keys()) paintCoach(canvas, painter, number);
}

function paintStage(canvas: Canvas, { hall, palette }: Painter, name: string): void {
  const { arc } = hall;
  if (!arc) return;
  const size = stageSize(hall);
  const widest = hall.bounds.maxX - hall.bounds.minX;
  const span = Math.max(150, Math.min(520 * size, widest * 0.55));
  const outer = arc.radius + 22;
  const inner = outer - 36 * size;
  const angle = span / 2 / outer;
  canvas.beginPath();
  canvas.arc(arc.x, arc.y, outer, Math.PI / 2 - angle, Math.PI / 2 + angle);
  canvas.arc(arc.x, arc.y, inner, Math.PI / 2 + angle * 0.94, Math.PI / 2 - angle * 0.94, true);
  canvas.closePath();
  canvas.fillStyle = palette.stage;
  canvas.fill();
  canvas.strokeStyle = palette.held;
  canvas.lineWidth = 1;
  canvas.stroke();
  canvas.fillStyle = "#f1ece4";
  canvas.font = `500 ${15 * size}px ${SERIF}`;
  canvas.textAlign = "center";
  canvas.textBaseline = "middle";
  canvas.fillText(name, arc.x, arc.y + (outer + inner) / 2 + 1);
}

function paintCoach(canvas: Canvas, { hall, palette }: Painter, sectionNo: number): void {
  const section = hall.sections[sectionNo];
  if (!section?.count) return;
  const left = section.minX - 18;
  const right = section.maxX + 18;
  const top = section.minY - 74;
  const bottom = section.maxY + 24;
  canvas.beginPath();
  canvas.roundRect(left, top, right - left, bottom - top, [34, 34, 16, 16]);
  canvas.fillStyle = palette.raised;
  canvas.fill();
  canvas.strokeStyle = palette.soft;
  canvas.lineWidth = 2;
  canvas.stroke();
  canvas.strokeStyle = palette.soft;
  canvas.lineWidth = 1.4;
  canvas.beginPath(); // the windscreen
  canvas.moveTo(left + 14, top + 22);
  canvas.quadraticCurveTo((left + right) / 2, top + 9, right - 14, top + 22);
  canvas.stroke();
  if (sectionNo > 0) return;
  const wheelX = section.minX + 16;
  const wheelY = section.minY - 30;
  canvas.beginPath(); // the driver
  canvas.arc(wheelX, wheelY, 10, 0, Math.PI * 2);
  canvas.moveTo(wheelX + 3, wheelY);
  canvas.arc(wheelX, wheelY, 3, 0, Math.PI * 2);
  canvas.moveTo(wheelX - 10, wheelY);
  canvas.lineTo(wheelX + 10, wheelY);
  canvas.stroke();
  canvas.fillStyle = palette.soft;
  canvas.font = `520 10px ${SANS}`;
  canvas.textBaseline = "middle";
  canvas.textAlign = "left";
  canvas.fillText("Driver", wheelX + 16, wheelY);
  canvas.textAlign = "right";
  canvas.fillText("Door", right - 12, wheelY);
  canvas.strokeStyle = palette.accent;
  canvas.lineWidth = 5;
  canvas.beginPath();
  canvas.moveTo(right, wheelY - 17);
  canvas.lineTo(right, wheelY + 17);
  canvas.stroke();
}

/** The moving part of the map: a camera over tiles, one frame at a time. React only hears where it has come to. */
import { type Camera, fitTo, keepInSight, lookAt, type Size, visible, zoomAt } from "./camera";
import type { Hall } from "./hall";
import { SEAT } from "./hall";
import { Tiles, type TilesOptions } from "./tiles";

/** The scale has settled when it hasn't changed for so long: the hall is then drawn sharp. */
const SETTLED_MS = 140;
const GLIDE_MS = 220;
/** Seen this large, a seat can be hit with a finger. */
export const FINGER_PX = 22;

export class MapView {
  camera: Camera = { x: 0, y: 0, scale: 1 };
  size: Size = { width: 0, height: 0 };
  fitted: Camera = this.camera;
  readonly tiles: Tiles;
  private frame = 0;
  private settle: ReturnType<typeof setTimeout> | undefined;
  private glide: { from: Camera; to: Camera; began: number } | null = null;
  private moved = true;
  /** Nothing is drawn before it is known what. */
  waiting = false;

  constructor(
    private readonly hall: Hall,
    host: HTMLElement,
    options: TilesOptions,
    private readonly onMove: (camera: Camera) => void,
    /** How many seats have been drawn so far. */
    private readonly onDrawn: (seats: number) => void,
  ) {
    this.tiles = new Tiles(host, options, () => this.schedule());
  }

  /** The window has this size now. The hall is fitted into it the first time, and while nobody has moved it. */
  resize(size: Size): void {
    const untouched =
      this.size.width === 0 ||
      (Math.abs(this.camera.scale - this.fitted.scale) < 1e-6 && Math.abs(this.camera.x - this.fitted.x) < 1);
    this.size = size;
    this.fitted = fitTo(this.hall.bounds, size);
    this.moveTo(untouched ? this.fitted : this.camera);
    if (this.tiles.isStretched(this.camera)) this.tiles.redraw(this.camera);
  }

  moveTo(camera: Camera): void {
    this.glide = null;
    this.place(camera);
  }

  pan(dx: number, dy: number): void {
    this.moveTo({ ...this.camera, x: this.camera.x + dx, y: this.camera.y + dy });
  }

  zoom(factor: number, at: { x: number; y: number }): void {
    this.moveTo(zoomAt(this.camera, factor, at, this.fitted));
  }

  /** Go there in a moment, or at once where people have asked for no motion. */
  glideTo(camera: Camera): void {
    const to = keepInSight(camera, this.hall.bounds, this.size);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.moveTo(to);
      return;
    }
    this.glide = { from: this.camera, to, began: performance.now() };
    this.schedule();
  }

  zoomBy(factor: number): void {
    const middle = { x: this.size.width / 2, y: this.size.height / 2 };
    this.glideTo(zoomAt(this.glide?.to ?? this.camera, factor, middle, this.fitted));
  }

  zoomToSeat(seat: number, scale: number): void {
    this.glideTo(lookAt(this.hall.x[seat] ?? 0, this.hall.y[seat] ?? 0, scale, this.size));
  }

  /** Bring a seat into sight if it isn't, and near enough to be read. */
  reveal(seat: number): void {
    const x = this.hall.x[seat] ?? 0;
    const y = this.hall.y[seat] ?? 0;
    const seen = visible(this.camera, this.size);
    const margin = SEAT * 1.5;
    const inside =
      x > seen.minX + margin && x < seen.maxX - margin && y > seen.minY + margin && y < seen.maxY - margin;
    const readable = this.camera.scale * SEAT >= 12;
    if (!inside || !readable) this.zoomToSeat(seat, readable ? this.camera.scale : 1.2);
  }

  /** Seats look different now. */
  touch(seats: ReadonlySet<number> | readonly number[]): void {
    this.tiles.touch(seats);
    this.onDrawn(this.tiles.drawn);
  }

  /** Everything looks different now: the theme has changed, or what is marked. */
  repaint(): void {
    this.tiles.redraw(this.camera);
    this.schedule();
  }

  toWorld(screen: { x: number; y: number }): { x: number; y: number } {
    const { x, y, scale } = this.camera;
    return { x: (screen.x - x) / scale, y: (screen.y - y) / scale };
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settle);
    this.tiles.destroy();
  }

  private place(camera: Camera): void {
    const scaled = camera.scale !== this.camera.scale;
    this.camera = keepInSight(camera, this.hall.bounds, this.size);
    this.moved = true;
    if (scaled) {
      clearTimeout(this.settle);
      this.settle = setTimeout(() => {
        if (!this.tiles.isStretched(this.camera)) return;
        this.tiles.redraw(this.camera);
        this.schedule();
      }, SETTLED_MS);
    }
    this.schedule();
  }

  private schedule(): void {
    this.frame ||= requestAnimationFrame(this.tick);
  }

  private tick = (now: number): void => {
    this.frame = 0;
    const { glide } = this;
    if (glide) {
      const part = Math.min(1, Math.max(0, (now - glide.began) / GLIDE_MS));
      const eased = 1 - (1 - part) ** 3;
      const between = (from: number, to: number) => from + (to - from) * eased;
      // Scales grow by factors, so that zooming looks even; the middle of the screen goes straight.
      const scale = glide.from.scale * (glide.to.scale / glide.from.scale) ** eased;
      const { width, height } = this.size;
      const middle = (camera: Camera, at: number, offset: number) => (at / 2 - offset) / camera.scale;
      const x = between(middle(glide.from, width, glide.from.x), middle(glide.to, width, glide.to.x));
      const y = between(middle(glide.from, height, glide.from.y), middle(glide.to, height, glide.to.y));
      this.place(part === 1 ? glide.to : { scale, x: width / 2 - x * scale, y: height / 2 - y * scale });
      if (part === 1) this.glide = null;
    }
    if (this.moved) {
      this.moved = false;
      if (this.tiles.isTooStretched(this.camera)) this.tiles.redraw(this.camera);
      this.tiles.move(this.camera);
      this.onMove(this.camera);
    }
    if ((!this.waiting && this.tiles.work(this.camera, this.size)) || this.glide) this.schedule();
    this.onDrawn(this.tiles.drawn);
  };
}

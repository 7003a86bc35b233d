import { Maximize, Minus, Plus } from "lucide-react";
import {
  type KeyboardEvent,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import type { Camera } from "./camera";
import type { TileLooks } from "./draw-tile";
import { Drawing } from "./drawing";
import { fadeAway, spring } from "./effects";
import { listen } from "./gestures";
import { type Hall, neighbour, SEAT, seatAt, seatsIn } from "./hall";
import { countPills, placeCursor, placePills, placeRubber, shortNames } from "./over-seats";
import { CHOSEN, type Look, MINE, PLAIN, SHAPES_FROM_PX } from "./paint";
import { type Palette, readPalette } from "./palette";
import { SeatTip, useSeatStatus } from "./seat-tip";
import { FREE, type SeatStatuses } from "./statuses";
import { FINGER_PX, MapView } from "./view";
import { describeSeat } from "./words";

export interface SeatMapProps {
  hall: Hall;
  statuses: SeatStatuses;
  currency: string;
  /** What the map is of: "Seat map of Così fan tutte". */
  label: string;
  /** What is at the front of a show. */
  front?: string;
  chosen?: ReadonlySet<number>;
  mine?: ReadonlySet<number>;
  /** Where given, other categories stand back. */
  category?: number | null;
  /** A press on a seat, whatever its status. Undefined: the map is only looked at. */
  onPress?: (seat: number) => void;
  /** Given, a drag with Shift (or always, with `areaMode`) draws a rectangle around seats. */
  onArea?: (seats: number[]) => void;
  areaMode?: boolean;
  className?: string;
}

const NONE: ReadonlySet<number> = new Set();
/** More at once would be fireworks; the rest just change. */
const GHOSTS_MAX = 60;
/** Where more than these change at once, all is drawn anew, frame by frame. */
const TOUCHED_MAX = 400;

/** A hall to look at and choose from, of 20 seats or 20,000, by pointer, touch, keyboard and ear. */
export function SeatMap(props: SeatMapProps) {
  const { hall, statuses, currency, label, front = "Stage", className = "" } = props;
  const { chosen = NONE, mine = NONE, category = null } = props;
  const frame = useRef<HTMLDivElement>(null);
  const host = useRef<HTMLDivElement>(null);
  const cursor = useRef<HTMLButtonElement>(null);
  const over = useRef<HTMLDivElement>(null);
  const pills = useRef<HTMLDivElement>(null);
  const effects = useRef<HTMLDivElement>(null);
  const rubber = useRef<HTMLDivElement>(null);
  const view = useRef<MapView>(null);
  const palette = useRef<Palette>(null);
  const latest = useRef(props);
  latest.current = props;
  const [seat, setSeat] = useState(() => firstSeat(hall, statuses));
  const [hovered, setHovered] = useState<number | null>(null);
  const keyed = useRef(false);

  const markOf = useCallback((of: number) => {
    const { chosen: chosenNow = NONE, mine: mineNow = NONE } = latest.current;
    return mineNow.has(of) ? MINE : chosenNow.has(of) ? CHOSEN : PLAIN;
  }, []);

  // The view lives as long as the hall does.
  useLayoutEffect(() => {
    const element = frame.current;
    const tilesHost = host.current;
    if (!element || !tilesHost) return;
    palette.current = readPalette(element, hall.categories);
    const look: Look = {
      status: (of) => statuses.at(of),
      mark: markOf,
      faded: (of) => {
        const wanted = latest.current.category ?? null;
        return wanted !== null && hall.category[of] !== wanted;
      },
    };
    const painter = (scale: number) => {
      if (!palette.current) throw new Error("no palette");
      return { hall, palette: palette.current, look, scale };
    };
    const looks = (): TileLooks => {
      if (!palette.current) throw new Error("no palette");
      const { chosen: chosenNow = NONE, mine: mineNow = NONE, category: wanted = null } = latest.current;
      let marks: TileLooks["marks"] = null;
      if (chosenNow.size + mineNow.size > 0) {
        marks = new Uint8Array(statuses.count);
        for (const of of chosenNow) marks[of] = CHOSEN;
        for (const of of mineNow) marks[of] = MINE;
      }
      return { palette: palette.current, statuses: statuses.copy(), marks, category: wanted };
    };
    const drawing = new Drawing(hall, front, looks, () => made.repaint());
    // What lies over the seats moves as one thing; only at another scale each goes to a place of its own.
    let scaleBefore = 0;
    const moved = (camera: Camera) => {
      if (over.current) over.current.style.transform = `translate(${camera.x}px, ${camera.y}px)`;
      if (camera.scale === scaleBefore) return;
      scaleBefore = camera.scale;
      placeCursor(cursor.current, hall, camera.scale);
      placePills(pills.current, hall, camera.scale);
      element.dataset.scale = camera.scale.toFixed(4);
    };
    let drawnBefore = 0;
    const drawn = (seats: number) => {
      if (seats === drawnBefore) return;
      drawnBefore = seats;
      element.dataset.drawn = String(seats);
    };
    const made: MapView = new MapView(hall, tilesHost, { hall, drawing, painter }, moved, drawn);
    made.waiting = !statuses.known;
    view.current = made;
    const resized = new ResizeObserver(([entry]) => {
      if (!entry) return;
      const { width, height } = entry.contentRect;
      if (width > 0 && height > 0) made.resize({ width, height });
    });
    resized.observe(element);
    const rethemed = () => {
      palette.current = readPalette(element, hall.categories);
      made.repaint();
    };
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", rethemed);
    document.addEventListener("themechange", rethemed);
    document.fonts?.ready.then(() => made.repaint());
    const forget = statuses.subscribe((changes) => {
      if (made.waiting || changes.length > TOUCHED_MAX) {
        if (made.waiting && cursor.current !== document.activeElement) setSeat(firstSeat(hall, statuses));
        made.waiting = false;
        countPills(pills.current, hall, statuses);
        made.repaint();
        return;
      }
      made.touch(changes.map((change) => change.seat));
      for (const change of changes.slice(0, GHOSTS_MAX)) {
        if (change.from !== FREE || !palette.current) continue;
        const color =
          palette.current.categories[hall.category[change.seat] ?? 0]?.fill ?? palette.current.ink;
        fadeAway(effects.current, hall, change.seat, made.camera, color);
      }
      if (changes.length > 0) countPills(pills.current, hall, statuses);
    });
    countPills(pills.current, hall, statuses);

    const stop = listen(element, made, {
      press: (at, event) => {
        const { onPress } = latest.current;
        const world = made.toWorld(at);
        const near = SEAT * made.camera.scale;
        const touch = event.pointerType !== "mouse";
        const found = seatAt(
          hall,
          world.x,
          world.y,
          Math.max(SEAT * 0.7, touch ? 14 / made.camera.scale : 0),
        );
        if (found < 0) return;
        // What can't be hit is come closer to; the next press chooses.
        if (near < (touch ? FINGER_PX : 7)) return made.zoomToSeat(found, (touch ? 30 : 22) / SEAT);
        setSeat(found);
        onPress?.(found);
      },
      hover: (at) => {
        if (!at || SEAT * made.camera.scale < SHAPES_FROM_PX) return setHovered(null);
        const world = made.toWorld(at);
        const found = seatAt(hall, world.x, world.y, SEAT * 0.65);
        setHovered(found < 0 ? null : found);
      },
      area: latest.current.onArea
        ? (box, done) => {
            placeRubber(rubber.current, box, made.camera, done);
            if (done) latest.current.onArea?.(seatsIn(hall, box));
          }
        : undefined,
      drawsArea: (event) =>
        Boolean(latest.current.onArea) && (event.shiftKey || Boolean(latest.current.areaMode)),
    });
    return () => {
      stop();
      forget();
      dark.removeEventListener("change", rethemed);
      document.removeEventListener("themechange", rethemed);
      resized.disconnect();
      made.destroy();
      drawing.end();
      view.current = null;
    };
  }, [hall, statuses, front, markOf]);

  // What is chosen, or theirs, is drawn again where it differs; a newly chosen seat springs a little.
  const shown = useRef({ chosen: NONE, mine: NONE });
  useEffect(() => {
    const before = shown.current;
    shown.current = { chosen, mine };
    const changed = new Set<number>();
    for (const [now, then] of [
      [chosen, before.chosen],
      [mine, before.mine],
    ] as const) {
      for (const of of now) if (!then.has(of)) changed.add(of);
      for (const of of then) if (!now.has(of)) changed.add(of);
    }
    view.current?.touch(changed);
    const made = view.current;
    if (!made || changed.size > GHOSTS_MAX) return;
    for (const of of changed) if (chosen.has(of)) spring(effects.current, hall, of, made.camera);
  }, [chosen, mine, hall]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new category is drawn by what `latest` says
  useEffect(() => {
    view.current?.repaint();
  }, [category]);

  // The one seat that can be tabbed to goes where the arrows lead. A new button each time: it is heard anew.
  useLayoutEffect(() => {
    if (view.current) placeCursor(cursor.current, hall, view.current.camera.scale);
    if (!keyed.current) return;
    keyed.current = false;
    cursor.current?.focus({ preventScroll: true });
    view.current?.reveal(seat);
  }, [seat, hall]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = hall.rows[hall.rowOf[seat] ?? 0];
    const to: Record<string, () => number> = {
      ArrowLeft: () => neighbour(hall, seat, "left"),
      ArrowRight: () => neighbour(hall, seat, "right"),
      ArrowUp: () => neighbour(hall, seat, "up"),
      ArrowDown: () => neighbour(hall, seat, "down"),
      Home: () => row?.first ?? seat,
      End: () => (row ? row.first + row.count - 1 : seat),
      PageUp: () => sectionSeat(hall, seat, -1),
      PageDown: () => sectionSeat(hall, seat, 1),
    };
    const zoom: Record<string, () => void> = {
      "+": () => view.current?.zoomBy(1.5),
      "=": () => view.current?.zoomBy(1.5),
      "-": () => view.current?.zoomBy(1 / 1.5),
      "0": () => view.current?.glideTo(view.current.fitted),
    };
    const next = to[event.key];
    if (next) {
      event.preventDefault();
      const found = next();
      if (found !== seat) {
        keyed.current = true;
        setSeat(found);
      }
    } else if (zoom[event.key]) {
      event.preventDefault();
      zoom[event.key]?.();
    }
  };

  const short = useMemo(() => shortNames(hall.sections.map(({ name }) => name)), [hall]);
  const status = useSeatStatus(statuses, seat);
  const mark = mine.has(seat) ? MINE : chosen.has(seat) ? CHOSEN : PLAIN;
  return (
    <section
      aria-label={label}
      ref={frame}
      className={`relative touch-none overflow-hidden bg-paper select-none ${
        hovered !== null && props.onPress ? "cursor-pointer" : "cursor-grab active:cursor-grabbing"
      } ${className}`}
      data-seat-map
    >
      <p className="sr-only" id="seat-map-keys">
        Arrow keys go from seat to seat, Home and End to the ends of a row, Page Up and Page Down to other
        sections. Plus and minus zoom. The list beside the map has the same seats.
      </p>
      <div ref={host} aria-hidden="true" className="absolute inset-0" />
      <div ref={effects} aria-hidden="true" className="pointer-events-none absolute inset-0" />
      <div ref={over} className="pointer-events-none absolute top-0 left-0 size-0 will-change-transform">
        <div ref={pills} aria-hidden="true">
          {hall.sections.map((section, number) => (
            <div
              // biome-ignore lint/suspicious/noArrayIndexKey: sections never change places, and may share a name
              key={number}
              className="group absolute top-0 left-0 hidden flex-col items-center gap-0.5 rounded-md border border-line bg-raised px-2 py-0.5 text-xs shadow-float data-[size=bar]:rounded-full data-[size=bar]:px-1 data-[size=bar]:py-1 data-[size=name]:px-1 sm:data-[size=all]:gap-1 sm:data-[size=all]:px-2.5 sm:data-[size=all]:py-1"
            >
              <span className="title max-w-full truncate leading-tight font-[560] group-data-[size=all]:text-sm group-data-[size=bar]:hidden">
                <span className="group-data-[size=name]:hidden">{section.name}</span>
                <span className="hidden group-data-[size=name]:inline">{short[number]}</span>
              </span>
              <span
                data-bar
                className="block h-1 w-full max-w-14 overflow-hidden rounded-full bg-line group-data-[size=all]:w-14 group-data-[size=name]:w-7"
              >
                <span className="block h-full origin-left bg-ink" />
              </span>
              <span
                data-count
                className="tabular hidden whitespace-nowrap text-soft group-data-[size=all]:block"
              />
            </div>
          ))}
        </div>
        <button
          key={seat}
          ref={cursor}
          type="button"
          tabIndex={0}
          data-seat={hall.labels[seat]}
          aria-label={describeSeat(hall, seat, status, mark, currency)}
          aria-pressed={mark === CHOSEN}
          aria-describedby="seat-map-keys"
          className="pointer-events-none absolute top-0 left-0 rounded-sm outline-offset-2"
          onKeyDown={onKeyDown}
          onFocus={(event) => {
            if (event.currentTarget.matches(":focus-visible")) view.current?.reveal(seat);
          }}
          onClick={() => props.onPress?.(seat)}
        />
      </div>
      <div
        ref={rubber}
        aria-hidden="true"
        className="pointer-events-none absolute hidden border-2 border-dashed border-accent"
      />
      {hovered !== null && (
        <SeatTip
          hall={hall}
          seat={hovered}
          statuses={statuses}
          mark={mine.has(hovered) ? MINE : chosen.has(hovered) ? CHOSEN : PLAIN}
          currency={currency}
          camera={view.current?.camera}
        />
      )}
      <div
        data-map-control
        className="absolute top-3 right-3 flex flex-col rounded-md border border-edge bg-raised"
      >
        <MapButton label="Closer" onPress={() => view.current?.zoomBy(1.6)}>
          <Plus size={18} aria-hidden />
        </MapButton>
        <MapButton label="Further away" onPress={() => view.current?.zoomBy(1 / 1.6)}>
          <Minus size={18} aria-hidden />
        </MapButton>
        <MapButton label="The whole hall" onPress={() => view.current?.glideTo(view.current.fitted)}>
          <Maximize size={16} aria-hidden />
        </MapButton>
      </div>
    </section>
  );
}

function MapButton({
  label,
  onPress,
  children,
}: {
  label: string;
  onPress(): void;
  children: React.ReactNode;
}) {
  return (
    <button
      type="button"
      aria-label={label}
      title={label}
      onClick={onPress}
      className="flex size-10 items-center justify-center not-last:border-b not-last:border-line hover:bg-sunk"
    >
      {children}
    </button>
  );
}

/** Where the keyboard begins: at the free seat nearest the middle of the first row that has one. */
function firstSeat(hall: Hall, statuses: SeatStatuses): number {
  for (const row of hall.rows) {
    const middle = row.first + (row.count - 1) / 2;
    const free = Array.from({ length: row.count }, (_, index) => row.first + index)
      .filter((seat) => statuses.isFree(seat))
      .sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
    if (free[0] !== undefined) return free[0];
  }
  return 0;
}

function sectionSeat(hall: Hall, seat: number, by: 1 | -1): number {
  const row = hall.rows[hall.rowOf[seat] ?? 0];
  const section = hall.sections[(row?.section ?? 0) + by];
  return section?.count ? section.first : seat;
}

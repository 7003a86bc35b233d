/** The live map of the box office: seats are selected on it, and blocked, put back, or booked for somebody. */
import { SquareDashedMousePointer } from "lucide-react";
import { type FormEvent, useEffect, useMemo, useState } from "react";
import type { Hall } from "@/features/seat-map/hall";
import { Legend } from "@/features/seat-map/legend";
import { useLive } from "@/features/seat-map/live";
import { SeatMap } from "@/features/seat-map/seat-map";
import type { SeatStatuses } from "@/features/seat-map/statuses";
import { nameSeats } from "@/features/seat-map/words";
import { ApiError, say } from "@/shared/api/problems";
import type { Show } from "@/shared/api/types";
import { useAnnounce } from "@/shared/ui/announcer";
import { Button } from "@/shared/ui/button";
import { Dialog } from "@/shared/ui/dialog";
import { Field } from "@/shared/ui/field";
import { list, money, plural } from "@/shared/ui/format";
import { useToast } from "@/shared/ui/toast";
import { type Customer, useBookFor, useSetAside } from "./api";
import { Key } from "./parts";
import { between, seatOf, sortSeats, toggled } from "./selection";
import { useShortcut } from "./shortcuts";

const NAMED_MAX = 24; // a longer list of seats tells nobody anything
const RECOUNT_MS = 200;

interface HallPanelProps {
  show: Show;
  hall: Hall;
  statuses: SeatStatuses;
  isAdmin: boolean;
  /** Look for the booking that has this seat. */
  onFind(label: string): void;
}

export function HallPanel({ show, hall, statuses, isAdmin, onFind }: HallPanelProps) {
  const connection = useLive(show.id, statuses);
  const changes = useChanges(statuses);
  const [selected, setSelected] = useState<ReadonlySet<number>>(new Set());
  const [drawing, setDrawing] = useState(false);
  const [category, setCategory] = useState<number | null>(null);
  const [bookingFor, setBookingFor] = useState<number[] | null>(null);
  const setAside = useSetAside(String(show.id));
  const toast = useToast();
  const announce = useAnnounce();
  // biome-ignore lint/correctness/useExhaustiveDependencies: statuses change in place; `changes` says when
  const sorted = useMemo(() => sortSeats(selected, statuses), [selected, statuses, changes]);
  const open = show.status === "scheduled";
  const labels = (seats: readonly number[]) => seats.map((seat) => hall.labels[seat] ?? "");

  const take = (seats: number[]) => {
    if (seats.length === 0) return;
    const next = toggled(selected, seats);
    setSelected(next);
    announce(`${plural(next.size, "seat")} selected`);
  };
  const put = (seats: number[], blocked: boolean, isUndo = false) => {
    if (seats.length === 0 || setAside.isPending) return;
    setAside.mutate(
      { seats: labels(seats), blocked },
      {
        onSuccess: () => {
          const text = `${plural(seats.length, "seat")} ${blocked ? "taken off sale" : "put back on sale"}.`;
          setSelected(new Set());
          toast(
            isUndo
              ? { text }
              : { text, action: { label: "Undo", onPress: () => put(seats, !blocked, true) } },
          );
        },
        onError: (error) => toast({ text: refusedWords(error), urgent: true }),
      },
    );
  };
  useShortcut("b", () => put(sorted.free, true), isAdmin && open);
  useShortcut("u", () => put(sorted.blocked, false), isAdmin && open);
  useShortcut("r", () => setDrawing((before) => !before));
  useShortcut("Escape", () => setSelected(new Set()), selected.size > 0);

  return (
    <div className="grid gap-6 lg:grid-cols-[minmax(0,1fr)_21rem]">
      <div className="flex min-w-0 flex-col gap-4">
        <div className="relative">
          <SeatMap
            hall={hall}
            statuses={statuses}
            currency={show.currency}
            label={`Seat map of ${show.name}`}
            chosen={selected}
            category={category}
            onPress={(seat) => take([seat])}
            onArea={take}
            areaMode={drawing}
            className={`h-[26rem] rounded-md border sm:h-[34rem] ${drawing ? "border-accent" : "border-line"}`}
          />
          <div className="absolute top-3 left-3 flex items-center gap-3">
            <Button
              size="small"
              tone={drawing ? "accent" : "plain"}
              className="min-h-10"
              aria-pressed={drawing}
              onClick={() => setDrawing(!drawing)}
            >
              <SquareDashedMousePointer size={18} aria-hidden /> Rectangle <Key>r</Key>
            </Button>
          </div>
          <p
            role="status"
            className={`absolute bottom-3 left-3 rounded-md border border-line bg-raised px-2.5 py-1 text-xs font-[560] ${
              connection === "live" ? "text-good" : "text-warn"
            }`}
          >
            {connection === "live" ? "Live" : connection === "lost" ? "Connecting again …" : "Connecting …"}
          </p>
        </div>
        <Legend hall={hall} currency={show.currency} category={category} onCategory={setCategory} />
      </div>
      <aside aria-label="Selected seats" className="flex flex-col gap-5">
        <Selected hall={hall} selected={selected} />
        {selected.size > 0 && (
          <ul className="tabular flex flex-wrap gap-x-4 text-sm">
            {sorted.free.length > 0 && <li>{sorted.free.length} free</li>}
            {sorted.blocked.length > 0 && <li>{sorted.blocked.length} off sale</li>}
            {sorted.taken.length > 0 && <li className="text-accent">{sorted.taken.length} held or sold</li>}
          </ul>
        )}
        {open ? (
          <div className="flex flex-col gap-2">
            {isAdmin && (
              <>
                <Button
                  disabled={sorted.free.length === 0}
                  busy={setAside.isPending}
                  aria-keyshortcuts="b"
                  onClick={() => put(sorted.free, true)}
                >
                  Take {sorted.free.length ? plural(sorted.free.length, "seat") : "seats"} off sale{" "}
                  <Key>b</Key>
                </Button>
                <Button
                  disabled={sorted.blocked.length === 0}
                  busy={setAside.isPending}
                  aria-keyshortcuts="u"
                  onClick={() => put(sorted.blocked, false)}
                >
                  Put {sorted.blocked.length ? plural(sorted.blocked.length, "seat") : "seats"} back{" "}
                  <Key>u</Key>
                </Button>
              </>
            )}
            <Button
              tone="accent"
              disabled={sorted.free.length === 0}
              onClick={() => setBookingFor(sorted.free)}
            >
              Book {sorted.free.length ? plural(sorted.free.length, "seat") : "seats"} for …
            </Button>
            {sorted.taken.length === 1 && selected.size === 1 && (
              <Button tone="quiet" onClick={() => onFind(labels(sorted.taken)[0] ?? "")}>
                Who has it?
              </Button>
            )}
            {selected.size > 0 && (
              <Button tone="quiet" onClick={() => setSelected(new Set())}>
                Select nothing <Key>Esc</Key>
              </Button>
            )}
          </div>
        ) : (
          <p className="text-sm text-soft">The show is cancelled: its seats stay as they are.</p>
        )}
        <RangeForm hall={hall} onTake={take} />
      </aside>
      <Dialog
        open={bookingFor !== null}
        title={`Book ${plural(bookingFor?.length ?? 0, "seat")}`}
        onClose={() => setBookingFor(null)}
      >
        {bookingFor && (
          <BookFor
            show={show}
            hall={hall}
            seats={bookingFor}
            onBooked={() => {
              setBookingFor(null);
              setSelected(new Set());
            }}
          />
        )}
      </Dialog>
    </div>
  );
}

function refusedWords(error: unknown): string {
  const conflicts = error instanceof ApiError ? error.problem?.conflicts : undefined;
  if (conflicts?.length) return `Nothing was changed: somebody has ${list(conflicts.slice(0, 10))} by now.`;
  const { title, hint } = say(error);
  return `${title}. ${hint}`;
}

function Selected({ hall, selected }: { hall: Hall; selected: ReadonlySet<number> }) {
  if (selected.size === 0) {
    return (
      <div className="flex flex-col gap-2">
        <h3 className="text-lg">No seat selected</h3>
        <p className="text-sm text-soft">
          Press seats, or draw a rectangle around them. Holding Shift draws one at any time.
        </p>
      </div>
    );
  }
  const seats = [...selected];
  return (
    <div className="flex flex-col gap-2">
      <h3 className="tabular text-lg">{plural(seats.length, "seat")} selected</h3>
      <p className="tabular max-h-32 overflow-y-auto text-sm text-soft">
        {nameSeats(hall, seats.slice(0, NAMED_MAX))}
        {seats.length > NAMED_MAX && ` and ${seats.length - NAMED_MAX} more`}
      </p>
    </div>
  );
}

/** The rectangle for those who don't use a pointer: from one seat to another. */
function RangeForm({ hall, onTake }: { hall: Hall; onTake(seats: number[]): void }) {
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const [tried, setTried] = useState(false);
  const [first, last] = [seatOf(hall, from), seatOf(hall, to || from)];
  const wrong = (seat: number) => (tried && seat < 0 ? "No such seat." : undefined);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (first < 0 || last < 0) return;
    onTake(between(hall, first, last));
    setTried(false);
  };
  return (
    <form onSubmit={submit} noValidate className="flex flex-col gap-3 border-t border-line pt-5">
      <h4 className="eyebrow">A rectangle by its corners</h4>
      <div className="grid grid-cols-2 gap-3">
        <Field
          label="From seat"
          autoComplete="off"
          placeholder={hall.labels[0]}
          value={from}
          error={wrong(first)}
          onChange={(event) => setFrom(event.target.value)}
        />
        <Field
          label="To seat"
          autoComplete="off"
          placeholder={hall.labels.at(-1)}
          value={to}
          error={wrong(last)}
          onChange={(event) => setTo(event.target.value)}
        />
      </div>
      <Button type="submit">Select them</Button>
    </form>
  );
}

interface BookForProps {
  show: Show;
  hall: Hall;
  seats: number[];
  onBooked(): void;
}

function BookFor({ show, hall, seats, onBooked }: BookForProps) {
  const book = useBookFor(String(show.id));
  const toast = useToast();
  const [customer, setCustomer] = useState<Customer>({ name: "", email: "" });
  const [tried, setTried] = useState(false);
  // One key for one intention: a second press, or a lost answer, books once. Another customer is another intention.
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is asked for makes the intention
  const key = useMemo(() => crypto.randomUUID(), [customer, seats]);
  const amount = seats.reduce(
    (sum, seat) => sum + (hall.categories[hall.category[seat] ?? 0]?.price_cents ?? 0),
    0,
  );
  const tooMany = seats.length > show.max_seats_per_booking;
  const name = customer.name.trim();
  const email = customer.email.trim();
  const badEmail = email !== "" && !/^[^\s@]+@[^\s@]+$/.test(email);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!name || badEmail || tooMany || book.isPending) return;
    book.mutate(
      { seats: seats.map((seat) => hall.labels[seat] ?? ""), customer: { name, email }, key },
      {
        onSuccess: () => {
          toast({
            text: `${nameSeats(hall, seats)} ${seats.length === 1 ? "is" : "are"} booked for ${name}.`,
          });
          onBooked();
        },
      },
    );
  };
  return (
    <form onSubmit={submit} noValidate className="flex flex-col gap-5">
      <p className="tabular text-sm text-soft">
        {nameSeats(hall, seats.slice(0, NAMED_MAX))} · {money(amount, show.currency)}
      </p>
      <Field
        label="Name"
        autoFocus
        autoComplete="off"
        maxLength={200}
        value={customer.name}
        error={tried && !name ? "Say for whom." : undefined}
        onChange={(event) => setCustomer({ ...customer, name: event.target.value })}
      />
      <Field
        label="E-mail"
        type="email"
        autoComplete="off"
        maxLength={254}
        hint="Optional"
        value={customer.email}
        error={tried && badEmail ? "This is no e-mail address." : undefined}
        onChange={(event) => setCustomer({ ...customer, email: event.target.value })}
      />
      {(tooMany || book.error) && (
        <p role="alert" className="text-sm font-[560] text-accent">
          {tooMany
            ? `One booking of this show has at most ${plural(show.max_seats_per_booking, "seat")}: select fewer.`
            : refusedWords(book.error)}
        </p>
      )}
      <Button type="submit" tone="accent" busy={book.isPending} disabled={tooMany}>
        Book {plural(seats.length, "seat")} for {money(amount, show.currency)}
      </Button>
    </form>
  );
}

/** A number that changes when seats do, a few times a second at most. */
function useChanges(statuses: SeatStatuses): number {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const forget = statuses.subscribe(() => {
      timer ??= setTimeout(() => {
        timer = undefined;
        setTurn((before) => before + 1);
      }, RECOUNT_MS);
    });
    return () => {
      forget();
      clearTimeout(timer);
    };
  }, [statuses]);
  return turn;
}

import { useQuery } from "@tanstack/react-query";
import { List, Map as MapIcon } from "lucide-react";
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { NotFound } from "@/app/not-found";
import { useSession } from "@/app/session";
import { SignInDialog } from "@/app/sign-in";
import { buildHall } from "@/features/seat-map/hall";
import { Legend } from "@/features/seat-map/legend";
import { type Connection, useLive } from "@/features/seat-map/live";
import { SeatList } from "@/features/seat-map/seat-list";
import { SeatMap } from "@/features/seat-map/seat-map";
import { HELD, SeatStatuses } from "@/features/seat-map/statuses";
import { ApiError, say } from "@/shared/api/problems";
import { layoutQuery, showQuery } from "@/shared/api/queries";
import type { Layout, Show } from "@/shared/api/types";
import { useAnnounce } from "@/shared/ui/announcer";
import { date, plural } from "@/shared/ui/format";
import { usePage } from "@/shared/ui/page";
import { ErrorState, Loading, Skeleton } from "@/shared/ui/states";
import { useToast } from "@/shared/ui/toast";
import type { Wish } from "./attempt";
import { myBookingsQuery } from "./bookings";
import { AskingPanel, type Best, ChoosingPanel, HeldPanel, namesOf, OverPanel } from "./panel";
import { useChoice } from "./use-choice";
import { usePurchase } from "./use-purchase";

type SeatWish = Pick<Wish, "seats" | "seat_count" | "category" | "accessible">;

/** The seat map of a show, and the way from a seat to a ticket: /booking/:id. */
export function Component() {
  const id = Number(useParams().id);
  const valid = Number.isSafeInteger(id) && id > 0;
  const show = useQuery({ ...showQuery(id), enabled: valid });
  const layout = useQuery({ ...layoutQuery(id), enabled: valid });
  if (!valid || (show.error instanceof ApiError && show.error.code === "not_found")) return <NotFound />;
  if (show.data && layout.data) return <BookingPage key={id} show={show.data} layout={layout.data} />;
  const error = show.error ?? layout.error;
  if (error) {
    return (
      <ErrorState level={1} error={error} onRetry={() => Promise.all([show.refetch(), layout.refetch()])} />
    );
  }
  return (
    <Loading label="The hall is being opened">
      <div className="flex flex-col gap-4 px-4 py-5 sm:px-6">
        <Skeleton className="h-8 w-72 max-w-full" />
        <Skeleton className="h-4 w-48" />
        <Skeleton className="h-[60dvh] w-full" />
      </div>
    </Loading>
  );
}

function BookingPage({ show, layout }: { show: Show; layout: Layout }) {
  const heading = usePage(show.name);
  const hall = useMemo(() => buildHall(layout, show.kind), [layout, show.kind]);
  const statuses = useMemo(() => new SeatStatuses(hall.x.length), [hall]);
  const connection = useLive(show.id, statuses);
  const { visitor, actingAs } = useSession();
  const navigate = useNavigate();
  const toast = useToast();
  const announce = useAnnounce();
  const [category, setCategory] = useState<number | null>(null);
  const [asList, setAsList] = useState(false);

  const complain = (error: unknown) => {
    const { title, hint } = say(error);
    toast({ text: `${title}. ${hint}`, urgent: true });
  };
  const purchase = usePurchase(show.id, complain);
  const { stage } = purchase;
  const choice = useChoice(hall, statuses, show.max_seats_per_booking, stage.at !== "choosing");
  const bookings = useQuery(myBookingsQuery(visitor?.id, { showId: show.id }));

  const { resume } = purchase;
  useEffect(() => {
    const pending = bookings.data?.items.find((booking) => booking.status === "PENDING");
    if (pending) resume(pending);
  }, [bookings.data, resume]);

  const mine = useMemo(() => {
    const held = stage.at === "held" ? [stage.booking] : [];
    const bought = bookings.data?.items.filter((booking) => booking.status === "CONFIRMED") ?? [];
    return new Set(
      [...held, ...bought].flatMap(({ seats }) => seats.flatMap((of) => hall.positions.get(of) ?? [])),
    );
  }, [stage, bookings.data, hall]);

  const ask = async (wish: SeatWish) => {
    if (!visitor) return;
    try {
      const booking = await purchase.hold({
        ...wish,
        show_id: show.id,
        confirm: false,
        customer_name: visitor.name,
        ...(actingAs !== undefined && { user_id: actingAs }),
      });
      choice.clear();
      if (booking.expires_at) {
        announce(`${namesOf(hall, booking)}: yours until ${date(booking.expires_at, "clock")}.`);
      }
    } catch (error) {
      const conflicts = error instanceof ApiError ? (error.problem?.conflicts ?? []) : [];
      const lost = conflicts.flatMap((label) => hall.positions.get(label) ?? []);
      if (lost.length > 0) choice.lose(lost, false);
      else complain(error);
    }
  };

  // A wish needs a name. Whoever has said none yet says it, and the wish goes on from there.
  const [wish, setWish] = useState<SeatWish | null>(null);
  const asking = useRef(ask);
  asking.current = ask;
  const ready = wish !== null && visitor !== null;
  useEffect(() => {
    if (!ready || !wish) return;
    setWish(null);
    asking.current(wish);
  }, [ready, wish]);
  const hold = () =>
    setWish({ seats: [...choice.chosen].sort((a, b) => a - b).map((seat) => hall.labels[seat] ?? "") });
  const holdBest = ({ seatCount, category: of, accessible }: Best) =>
    setWish({
      seat_count: seatCount,
      ...(of !== null && { category: of }),
      ...(accessible && { accessible }),
    });
  const confirm = async () => {
    try {
      const booking = await purchase.confirm();
      announce("Confirmed. The seats are yours.");
      navigate(`/bookings/${booking.id}`, { state: { fresh: true } });
    } catch (error) {
      if (error instanceof ApiError && error.code === "hold_expired") await purchase.check();
      else complain(error);
    }
  };
  const release = async () => {
    try {
      const booking = await purchase.release();
      purchase.again();
      choice.set(booking.seats.flatMap((label) => hall.positions.get(label) ?? []));
      announce("Given back. The seats are on sale again.");
    } catch (error) {
      if (error instanceof ApiError && error.code === "hold_expired") await purchase.check();
      else complain(error);
    }
  };

  // A hold may be settled elsewhere: confirmed by a payment, given back in another tab. The server is asked now and then.
  const { check } = purchase;
  const byService = stage.at === "held" && show.confirm_by === "service";
  useEffect(() => {
    if (byService) check().catch(() => {});
  }, [byService, check]);
  useEffect(() => {
    if (stage.at === "over" && stage.booking.status === "CONFIRMED")
      navigate(`/bookings/${stage.booking.id}`);
  }, [stage, navigate]);

  const closed = closedWords(show, useRoom(statuses));
  const press = stage.at === "choosing" && !closed ? choice.choose : undefined;
  return (
    <div className="grid flex-1 grid-cols-[minmax(0,1fr)] grid-rows-[auto_minmax(20rem,1fr)_auto] wide:h-[calc(100dvh-3.6rem)] wide:min-h-[38rem] wide:grid-cols-[minmax(0,1fr)_24rem] wide:grid-rows-[auto_minmax(0,1fr)]">
      <header className="flex flex-col gap-2 border-b border-line px-4 py-3 sm:gap-3 sm:py-4 sm:px-6 wide:col-span-2 wide:flex-row wide:items-end wide:justify-between">
        <div className="min-w-0">
          <p className="eyebrow">
            <Link to="/" className="hover:text-ink">
              What’s on
            </Link>
            {show.venue && <span> · {show.venue}</span>}
            {show.origin && show.destination && (
              <span>
                {" "}
                · {show.origin} to {show.destination}
              </span>
            )}
          </p>
          <h1 ref={heading} tabIndex={-1} className="mt-0.5 line-clamp-2 text-lg sm:mt-1 sm:text-xl">
            {show.name}
          </h1>
          <p className="tabular mt-1 text-sm text-soft">
            {date(show.start_time, "day", show.time_zone)}, {date(show.start_time, "time", show.time_zone)}{" "}
            {show.status !== "cancelled" && <Live connection={connection} statuses={statuses} />}
          </p>
        </div>
        <Legend hall={hall} currency={show.currency} category={category} onCategory={setCategory} />
      </header>

      <div className="relative min-h-0">
        {asList ? (
          <SeatList
            hall={hall}
            statuses={statuses}
            currency={show.currency}
            chosen={choice.chosen}
            mine={mine}
            category={category}
            onPress={press ?? (() => {})}
          />
        ) : (
          <SeatMap
            hall={hall}
            statuses={statuses}
            currency={show.currency}
            label={`Seat map of ${show.name}`}
            front={frontOf(show)}
            chosen={choice.chosen}
            mine={mine}
            category={category}
            className="h-full"
            {...(press && { onPress: press })}
          />
        )}
        <div className="absolute top-3 left-3 flex rounded-md border border-edge bg-raised text-sm">
          <ViewButton pressed={!asList} label="Map" onPress={() => setAsList(false)}>
            <MapIcon size={16} aria-hidden />
          </ViewButton>
          <ViewButton pressed={asList} label="List" onPress={() => setAsList(true)}>
            <List size={16} aria-hidden />
          </ViewButton>
        </div>
      </div>

      <aside
        aria-label="Your seats"
        className="sticky bottom-0 z-20 border-t border-line bg-raised px-4 py-4 shadow-float sm:px-6 wide:static wide:border-t-0 wide:border-l wide:py-6 wide:shadow-none"
      >
        {stage.at === "asking" && <AskingPanel waiting={stage.waiting} />}
        {stage.at === "held" && (
          <HeldPanel
            show={show}
            hall={hall}
            booking={stage.booking}
            doing={stage.doing}
            waiting={stage.waiting}
            onConfirm={confirm}
            onRelease={release}
            onEnd={() => check().catch(complain)}
          />
        )}
        {stage.at === "over" && stage.booking.status !== "CONFIRMED" && (
          <OverPanel
            booking={stage.booking}
            onAgain={() => {
              purchase.again();
              const seats = stage.booking.seats.flatMap((label) => hall.positions.get(label) ?? []);
              choice.set(seats.filter((seat) => statuses.isFree(seat)));
            }}
          />
        )}
        {stage.at === "choosing" &&
          (closed ? (
            <div className="flex flex-col gap-2">
              <h2 className="text-lg">{closed.title}</h2>
              <p className="text-sm text-soft">{closed.hint}</p>
              <Link to="/" className="self-start text-sm underline underline-offset-4 hover:text-accent">
                See what else is on
              </Link>
            </div>
          ) : (
            <ChoosingPanel
              show={show}
              hall={hall}
              chosen={choice.chosen}
              category={category}
              onCategory={setCategory}
              onDrop={choice.choose}
              onHold={hold}
              onBest={holdBest}
            />
          ))}
      </aside>
      <SignInDialog open={wish !== null && !visitor} onClose={() => setWish(null)} onEntered={goOn} />
    </div>
  );
}

/** The dialog goes as soon as it is known who is here. */
function goOn() {}

function ViewButton({
  pressed,
  label,
  onPress,
  children,
}: {
  pressed: boolean;
  label: string;
  onPress(): void;
  children: React.ReactNode;
}) {
  return (
    <button
      type="button"
      aria-pressed={pressed}
      onClick={onPress}
      className="inline-flex min-h-10 items-center gap-1.5 px-3 not-last:border-r not-last:border-line aria-pressed:font-[560] aria-[pressed=false]:text-soft hover:bg-sunk"
    >
      {children}
      {label}
    </button>
  );
}

/** Whether a seat is free; if none is, whether one is only held and may come back. */
type Room = "free" | "held" | "none";

function useRoom(statuses: SeatStatuses): Room {
  return useSyncExternalStore(statuses.subscribe, () => roomOf(statuses));
}

function roomOf(statuses: SeatStatuses): Room {
  if (!statuses.known || statuses.available > 0) return "free";
  return statuses.has(HELD) ? "held" : "none";
}

/** How many are free, now; and whether "now" is true. */
function Live({ connection, statuses }: { connection: Connection; statuses: SeatStatuses }) {
  const [available, setAvailable] = useState(statuses.known ? statuses.available : null);
  useEffect(() => statuses.subscribe(() => setAvailable(statuses.available)), [statuses]);
  if (connection === "lost") return <span className="text-warn">· Connection lost; the map may be old</span>;
  if (available === null) return null;
  if (available > 0) return <span>· {plural(available, "seat")} free</span>;
  return <span>· {roomOf(statuses) === "held" ? "no seat free just now" : "sold out"}</span>;
}

function frontOf(show: Show): string {
  return /cinema|kino|screen|film/i.test(`${show.venue ?? ""} ${show.name}`) ? "Screen" : "Stage";
}

/** Why nothing can be chosen here, if nothing can. */
function closedWords(show: Show, room: Room): { title: string; hint: string } | null {
  if (show.status === "cancelled") {
    return {
      title: "This has been called off",
      hint: "No seats are sold for it any more. Bookings are being settled.",
    };
  }
  if (show.on_sale_at && Date.parse(show.on_sale_at) > Date.now()) {
    const when = `${date(show.on_sale_at, "day", show.time_zone)}, ${date(show.on_sale_at, "time", show.time_zone)}`;
    return { title: "Not on sale yet", hint: `The sale begins on ${when}. Have a look around until then.` };
  }
  if (room === "held") {
    return {
      title: "All held just now; some may come back",
      hint: "Others are still deciding. A seat that is given back shows here at once.",
    };
  }
  if (room === "none") {
    return { title: "Sold out", hint: "Should a seat come back, it shows here at once." };
  }
  return null;
}

import { ArrowLeft, Copy, ExternalLink, Pencil } from "lucide-react";
import { type FormEvent, useMemo, useRef, useState } from "react";
import { Link, useParams } from "react-router";
import { useSession } from "@/app/session";
import { buildHall, type Hall } from "@/features/seat-map/hall";
import { SeatStatuses } from "@/features/seat-map/statuses";
import { say } from "@/shared/api/problems";
import type { Show } from "@/shared/api/types";
import { Button, LinkButton } from "@/shared/ui/button";
import { Dialog } from "@/shared/ui/dialog";
import { count, date, money } from "@/shared/ui/format";
import { usePage } from "@/shared/ui/page";
import { ErrorState, Loading, Skeleton } from "@/shared/ui/states";
import { useToast } from "@/shared/ui/toast";
import { type Statistics, useCancelShow, useEditShow, useLayout, useShow, useStatistics } from "./api";
import { BookingsTable } from "./bookings-table";
import { effectOfCancelling } from "./cancelling";
import { Charts } from "./charts";
import { HallPanel } from "./hall-panel";
import { Confirm, Copyable, Figure, Fill, StatusTag } from "./parts";
import { useShortcut } from "./shortcuts";
import { formOf, readForm, refusalOf, ShowFields } from "./show-fields";

/** One show: its map, its numbers, its bookings, and what can be done about it. */
export function ShowPage() {
  const { id = "" } = useParams();
  const show = useShow(id);
  if (show.data) return <Loaded id={id} of={show.data} />;
  if (show.isError) return <ErrorState level={1} error={show.error} onRetry={() => void show.refetch()} />;
  return (
    <Loading label="Loading the show">
      <Skeleton className="m-6 h-24" />
      <Skeleton className="m-6 h-[30rem]" />
    </Loading>
  );
}

/** A page of its own, so that its heading is there when the page has come, and takes the focus. */
function Loaded({ id, of }: { id: string; of: Show }) {
  const layout = useLayout(id);
  const { isAdmin } = useSession();
  const statistics = useStatistics(id, isAdmin);
  const heading = usePage(`${of.name} · Box office`);
  const search = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState("");
  useShortcut("/", () => search.current?.focus());
  const { kind } = of;
  const [hall, statuses] = useMemo<[Hall, SeatStatuses] | [null, null]>(() => {
    if (!layout.data) return [null, null];
    const built = buildHall(layout.data, kind);
    return [built, new SeatStatuses(built.labels.length)];
  }, [layout.data, kind]);
  const find = (label: string) => {
    setTyped(label);
    search.current?.focus();
    search.current?.scrollIntoView({ block: "center" });
  };
  return (
    <div className="mx-auto flex w-full max-w-[100rem] flex-col gap-10 px-4 py-8 sm:px-6">
      <header className="flex flex-col gap-5">
        <Link
          to="/admin"
          className="inline-flex items-center gap-1.5 self-start text-sm text-soft hover:text-ink"
        >
          <ArrowLeft size={16} aria-hidden /> Box office
        </Link>
        <div className="flex flex-wrap items-end justify-between gap-x-8 gap-y-4">
          <div className="flex min-w-0 flex-col gap-2">
            <p className="tabular flex flex-wrap items-center gap-x-3 text-sm">
              <StatusTag show={of} />
              <span>
                {date(of.start_time, "day", of.time_zone)}, {date(of.start_time, "time", of.time_zone)}
              </span>
              <span className="text-soft">
                <Copyable value={id} label="Show id">{`No. ${id}`}</Copyable>
              </span>
              <span className="text-soft">
                {of.kind === "trip" ? [of.origin, of.destination].filter(Boolean).join(" → ") : of.venue}
              </span>
            </p>
            <h1 ref={heading} tabIndex={-1} className="max-w-[24ch] text-2xl">
              {of.name}
            </h1>
          </div>
          <Actions show={of} isAdmin={isAdmin} statistics={statistics.data} />
        </div>
        <Figures show={of} statistics={statistics.data} />
      </header>
      <section aria-labelledby="seats" className="flex flex-col gap-4">
        <h2 id="seats" className="text-xl">
          Seats
        </h2>
        {hall && statuses ? (
          <HallPanel show={of} hall={hall} statuses={statuses} isAdmin={isAdmin} onFind={find} />
        ) : layout.isError ? (
          <ErrorState error={layout.error} onRetry={() => void layout.refetch()} />
        ) : (
          <Loading label="Loading the seat map">
            <Skeleton className="h-[34rem]" />
          </Loading>
        )}
      </section>
      {isAdmin && (
        <section aria-labelledby="sales" className="flex flex-col gap-6">
          <h2 id="sales" className="text-xl">
            Sales
          </h2>
          {statistics.data ? (
            <Charts statistics={statistics.data} zone={of.time_zone} />
          ) : statistics.isError ? (
            <ErrorState error={statistics.error} onRetry={() => void statistics.refetch()} />
          ) : (
            <Loading label="Counting">
              <Skeleton className="h-64" />
            </Loading>
          )}
        </section>
      )}
      <section aria-labelledby="bookings" className="flex flex-col gap-4">
        <h2 id="bookings" className="text-xl">
          Bookings
        </h2>
        <BookingsTable show={of} hall={hall} search={search} typed={typed} onTyped={setTyped} />
      </section>
    </div>
  );
}

function Figures({ show, statistics }: { show: Show; statistics: Statistics | undefined }) {
  return (
    <div className="flex flex-col gap-4">
      <Fill show={show} />
      <dl className="grid grid-cols-2 gap-x-8 gap-y-5 sm:flex sm:flex-wrap sm:gap-x-12">
        <Figure label="Sold" value={count(show.booked_seats)} copy={String(show.booked_seats)} />
        <Figure label="Held" value={count(show.reserved_seats)} copy={String(show.reserved_seats)} />
        <Figure label="Off sale" value={count(show.blocked_seats)} copy={String(show.blocked_seats)} />
        <Figure
          label={`Free of ${count(show.total_seats)}`}
          value={count(show.available_seats)}
          copy={String(show.available_seats)}
        />
        {statistics && (
          <>
            <Figure
              label="Revenue"
              value={money(statistics.revenue_cents, show.currency)}
              copy={(statistics.revenue_cents / 100).toFixed(2)}
            />
            <Figure
              label="Bookings"
              value={count(statistics.bookings.confirmed)}
              copy={String(statistics.bookings.confirmed)}
            />
          </>
        )}
      </dl>
    </div>
  );
}

interface ActionsProps {
  show: Show;
  isAdmin: boolean;
  statistics: Statistics | undefined;
}

function Actions({ show, isAdmin, statistics }: ActionsProps) {
  const [open, setOpen] = useState<"edit" | "cancel" | null>(null);
  const close = () => setOpen(null);
  return (
    <div className="flex flex-wrap gap-2">
      <LinkButton size="small" className="min-h-10" to={`/booking/${show.id}`}>
        <ExternalLink size={16} aria-hidden /> As customers see it
      </LinkButton>
      {isAdmin && (
        <>
          <LinkButton size="small" className="min-h-10" to={`/admin/new?like=${show.id}`}>
            <Copy size={16} aria-hidden /> Duplicate
          </LinkButton>
          <Button size="small" className="min-h-10" onClick={() => setOpen("edit")}>
            <Pencil size={16} aria-hidden /> Edit
          </Button>
          {show.status === "scheduled" && (
            <Button size="small" tone="danger" className="min-h-10" onClick={() => setOpen("cancel")}>
              Cancel the show
            </Button>
          )}
          <Dialog open={open === "edit"} title="Edit the show" wide onClose={close}>
            <Edit show={show} onDone={close} />
          </Dialog>
          <Cancel show={show} statistics={statistics} open={open === "cancel"} onClose={close} />
        </>
      )}
    </div>
  );
}

interface CancelProps {
  show: Show;
  statistics: Statistics | undefined;
  open: boolean;
  onClose(): void;
}

function Cancel({ show, statistics, open, onClose }: CancelProps) {
  const cancel = useCancelShow(String(show.id));
  const toast = useToast();
  const effect = effectOfCancelling(show, statistics);
  return (
    <Confirm
      open={open}
      title={`Cancel ${show.name}?`}
      act={effect.act}
      keep="Keep the show"
      busy={cancel.isPending}
      error={cancel.error ? say(cancel.error).title : undefined}
      onClose={onClose}
      onAct={() =>
        cancel.mutate(undefined, {
          onSuccess: () => {
            toast({ text: `${show.name} is cancelled.` });
            onClose();
            document.querySelector("h1")?.focus(); // the button that opened this is gone
          },
        })
      }
    >
      <p className="font-[560]">{effect.words}</p>
      <p>Nothing more is sold. It can’t be undone: to play after all, duplicate the show.</p>
    </Confirm>
  );
}

function Edit({ show, onDone }: { show: Show; onDone(): void }) {
  const edit = useEditShow(String(show.id));
  const toast = useToast();
  const [before] = useState(() => formOf(show));
  const [form, setForm] = useState(before);
  const [tried, setTried] = useState(false);
  const { values, errors } = readForm(form);
  const refusal = refusalOf(edit.error);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(errors).length > 0) return;
    // What was not touched is not sent: somebody else may have changed it meanwhile, and a show that has begun keeps its start.
    const old = readForm(before).values;
    const names = Object.keys(values) as (keyof typeof values)[];
    const change = Object.fromEntries(
      names.filter((name) => values[name] !== old[name]).map((name) => [name, values[name]]),
    );
    edit.mutate(change, {
      onSuccess: () => {
        toast({ text: `${form.name} is changed.` });
        onDone();
      },
    });
  };
  return (
    <form onSubmit={submit} noValidate className="flex flex-col gap-6">
      <ShowFields
        form={form}
        kind={show.kind}
        fixedPlaces
        errors={tried ? { ...errors, ...refusal.fields } : {}}
        onChange={(change) => setForm((current) => ({ ...current, ...change }))}
      />
      <p className="text-sm text-soft">Seats and prices never change: what was bought stays what it is.</p>
      {refusal.rest && (
        <p role="alert" className="text-sm font-[560] text-accent">
          {refusal.rest}
        </p>
      )}
      <Button type="submit" tone="accent" busy={edit.isPending}>
        Keep the changes
      </Button>
    </form>
  );
}

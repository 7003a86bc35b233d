import { Plus, Search } from "lucide-react";
import { useDeferredValue, useRef, useState } from "react";
import { Link, useNavigate } from "react-router";
import { useSession } from "@/app/session";
import type { Show } from "@/shared/api/types";
import { Button, LinkButton } from "@/shared/ui/button";
import { Field } from "@/shared/ui/field";
import { count, date } from "@/shared/ui/format";
import { usePage } from "@/shared/ui/page";
import { EmptyState, ErrorState, Loading, Skeleton } from "@/shared/ui/states";
import { Cell, HeadCell, Table } from "@/shared/ui/table";
import { useShows, type When } from "./api";
import { Copyable, Fill, Key, StatusTag, TableRoom } from "./parts";
import { useShortcut } from "./shortcuts";

/** All shows, with how full they are at this moment. */
export function Overview() {
  const heading = usePage("Box office");
  const { isAdmin } = useSession();
  const navigate = useNavigate();
  const search = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState("");
  const [when, setWhen] = useState<When>("coming");
  const q = useDeferredValue(typed.trim());
  const shows = useShows(q, when);
  useShortcut("/", () => search.current?.focus());
  useShortcut("n", () => void navigate("/admin/new"), isAdmin);
  const items = shows.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="mx-auto flex w-full max-w-[100rem] flex-col gap-6 px-4 py-8 sm:px-6">
      <header className="flex flex-wrap items-end justify-between gap-4">
        <div>
          <p className="eyebrow">All shows and trips</p>
          <h1 ref={heading} tabIndex={-1} className="text-2xl">
            Box office
          </h1>
        </div>
        {isAdmin && (
          <LinkButton to="/admin/new" tone="accent">
            <Plus size={18} aria-hidden /> New show <Key>n</Key>
          </LinkButton>
        )}
      </header>
      <div className="flex flex-wrap items-end gap-x-6 gap-y-3">
        <div className="relative w-full sm:w-80">
          <Search size={16} aria-hidden className="absolute top-3.5 left-3 text-soft" />
          <Field
            ref={search}
            type="search"
            label="Search shows"
            hideLabel
            placeholder="Name, place or destination"
            className="pl-9"
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            aria-keyshortcuts="/"
          />
        </div>
        <fieldset className="flex gap-1">
          <legend className="sr-only">Which shows</legend>
          {(["coming", "all"] as const).map((choice) => (
            <Button
              key={choice}
              size="medium"
              tone="quiet"
              aria-pressed={when === choice}
              className="aria-pressed:underline aria-pressed:decoration-accent aria-pressed:decoration-2 aria-pressed:underline-offset-8"
              onClick={() => setWhen(choice)}
            >
              {choice === "coming" ? "Coming" : "With past ones"}
            </Button>
          ))}
        </fieldset>
      </div>
      {shows.isPending ? (
        <Loading label="Loading shows">
          <Skeleton className="h-80" />
        </Loading>
      ) : shows.isError && items.length === 0 ? (
        <ErrorState error={shows.error} onRetry={() => void shows.refetch()} />
      ) : items.length === 0 ? (
        <Nothing searched={q !== ""} canMake={isAdmin} />
      ) : (
        <>
          <TableRoom>
            <Table
              caption="Shows"
              head={
                <>
                  <HeadCell className="pl-0 sm:pl-3">When</HeadCell>
                  <HeadCell>Show</HeadCell>
                  <HeadCell className="hidden lg:table-cell">Status</HeadCell>
                  <HeadCell className="px-1 sm:w-56 sm:px-3">Full</HeadCell>
                  <HeadCell className="hidden text-right sm:table-cell">Sold</HeadCell>
                  <HeadCell className="hidden text-right lg:table-cell">Held</HeadCell>
                  <HeadCell className="pr-0 text-right sm:pr-3">Free</HeadCell>
                </>
              }
            >
              {items.map((show) => (
                <ShowRow key={show.id} show={show} />
              ))}
            </Table>
          </TableRoom>
          {shows.hasNextPage && (
            <Button
              className="self-center"
              busy={shows.isFetchingNextPage}
              onClick={() => void shows.fetchNextPage()}
            >
              More shows
            </Button>
          )}
        </>
      )}
    </div>
  );
}

function ShowRow({ show }: { show: Show }) {
  const place =
    show.kind === "trip" ? [show.origin, show.destination].filter(Boolean).join(" → ") : show.venue;
  const full = Math.floor(((show.total_seats - show.available_seats) / show.total_seats) * 100);
  return (
    <tr className="hover:bg-sunk">
      <Cell className="pl-0 sm:pl-3 sm:whitespace-nowrap">
        <span className="block font-[560]">
          {unbroken(date(show.start_time, "dayShort", show.time_zone))}
        </span>
        <span className="text-soft">{date(show.start_time, "time", show.time_zone)}</span>
      </Cell>
      <Cell className="max-w-[28rem] sm:min-w-48">
        <Link
          to={`/admin/shows/${show.id}`}
          className="title line-clamp-2 text-base font-[560] [overflow-wrap:anywhere] hover:text-accent"
        >
          {show.name}
        </Link>
        {place && <span className="line-clamp-1 text-soft [overflow-wrap:anywhere]">{place}</span>}
        <span className="lg:hidden">
          <StatusTag show={show} />
        </span>
      </Cell>
      <Cell className="hidden whitespace-nowrap lg:table-cell">
        <StatusTag show={show} />
      </Cell>
      <Cell className="px-1 sm:px-3">
        <div className="flex items-center gap-3">
          <span className="hidden flex-1 sm:block">
            <Fill show={show} />
          </span>
          <span className="w-10 text-right">{full}%</span>
        </div>
      </Cell>
      <Cell className="hidden text-right sm:table-cell">
        <Copyable value={String(show.booked_seats)} label="Sold">
          {count(show.booked_seats)}
        </Copyable>
      </Cell>
      <Cell className="hidden text-right lg:table-cell">{count(show.reserved_seats)}</Cell>
      <Cell className="pr-0 text-right sm:pr-3">
        <Copyable value={String(show.available_seats)} label="Free">
          {count(show.available_seats)}
        </Copyable>
      </Cell>
    </tr>
  );
}

/** A day stays on one line; only its year may go to the next, where there is little room. */
const unbroken = (day: string) => day.replace(/ (?!\d{4}$)/g, "\u00a0");

function Nothing({ searched, canMake }: { searched: boolean; canMake: boolean }) {
  if (searched) {
    return (
      <EmptyState title="No show goes by that">
        Try a part of its name, its place, or where a trip leads.
      </EmptyState>
    );
  }
  return (
    <EmptyState
      title="Nothing is on yet"
      action={
        canMake && (
          <LinkButton to="/admin/new" tone="accent">
            Make the first show
          </LinkButton>
        )
      }
    >
      A name, a time and a number of seats are enough to begin selling.
    </EmptyState>
  );
}

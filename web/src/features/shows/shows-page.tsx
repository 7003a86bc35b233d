import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Search } from "lucide-react";
import { useDeferredValue, useEffect, useMemo, useRef } from "react";
import { useSearchParams } from "react-router";
import { api, unwrap } from "@/shared/api/client";
import type { Show } from "@/shared/api/types";
import { useAnnounce } from "@/shared/ui/announcer";
import { Button } from "@/shared/ui/button";
import { inputShape } from "@/shared/ui/field";
import { plural } from "@/shared/ui/format";
import { usePage } from "@/shared/ui/page";
import { EmptyState, ErrorState, Loading, Skeleton } from "@/shared/ui/states";
import { type Filters, fromParams, queryOf, toParams } from "./filters";
import { ShowCard } from "./show-card";

const PAGE_SIZE = 48;

/** What is on: /. Filters are in the address, so that a list can be sent to a friend. */
export function ShowsPage() {
  const heading = usePage("What’s on");
  const [params, setParams] = useSearchParams();
  const filters = useMemo(() => fromParams(params), [params]);
  const change = (changed: Partial<Filters>) =>
    setParams(toParams({ ...filters, ...changed }), { replace: true, preventScrollReset: true });
  return (
    <div className="mx-auto w-full max-w-[100rem] px-4 pt-8 pb-16 sm:px-6 sm:pt-12">
      <div className="flex flex-col gap-6 wide:flex-row wide:items-end wide:justify-between">
        <h1
          ref={heading}
          tabIndex={-1}
          className="text-[clamp(2.5rem,6vw,4.25rem)] leading-[0.98] tracking-[-0.03em]"
        >
          What’s on
        </h1>
        <FilterBar filters={filters} onChange={change} />
      </div>
      <Results filters={filters} onReset={() => setParams({}, { replace: true })} />
    </div>
  );
}

function FilterBar({ filters, onChange }: { filters: Filters; onChange(changed: Partial<Filters>): void }) {
  return (
    <search className="flex flex-col gap-3 wide:w-[40rem]">
      <label className="relative block">
        <span className="sr-only">Search by name, venue or place</span>
        <Search
          size={18}
          aria-hidden
          className="pointer-events-none absolute top-1/2 left-3 -translate-y-1/2 text-soft"
        />
        <input
          type="search"
          placeholder="A name, a venue, a city"
          className={`${inputShape} w-full pl-10`}
          value={filters.q}
          onChange={(event) => onChange({ q: event.target.value })}
        />
      </label>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-3 text-sm">
        <fieldset className="flex">
          <legend className="sr-only">Kind</legend>
          {(["", "show", "trip"] as const).map((kind) => (
            <button
              key={kind}
              type="button"
              aria-pressed={filters.kind === kind}
              onClick={() => onChange({ kind })}
              className="min-h-10 border border-edge bg-raised px-3.5 not-first:-ml-px first:rounded-l-md last:rounded-r-md aria-pressed:bg-ink aria-pressed:text-paper"
            >
              {kind === "" ? "All" : kind === "show" ? "Shows" : "Trips"}
            </button>
          ))}
        </fieldset>
        <fieldset className="grid w-full grid-cols-2 gap-3 sm:flex sm:w-auto sm:items-center sm:gap-2">
          <legend className="sr-only">Days</legend>
          <label className="flex flex-col gap-1 whitespace-nowrap sm:flex-row sm:items-center sm:gap-2">
            <span className="text-soft">From</span>
            <input
              type="date"
              className={`${inputShape} tabular min-h-10 min-w-0 text-sm`}
              value={filters.from}
              onChange={(event) => onChange({ from: event.target.value })}
            />
          </label>
          <label className="flex flex-col gap-1 whitespace-nowrap sm:flex-row sm:items-center sm:gap-2">
            <span className="text-soft">to</span>
            <input
              type="date"
              min={filters.from}
              className={`${inputShape} tabular min-h-10 min-w-0 text-sm`}
              value={filters.until}
              onChange={(event) => onChange({ until: event.target.value })}
            />
          </label>
        </fieldset>
        <label className="flex items-center gap-2 whitespace-nowrap">
          <span className="text-soft">Price up to</span>
          <input
            type="number"
            inputMode="numeric"
            min={0}
            placeholder="any"
            className={`${inputShape} tabular min-h-10 w-20 text-sm`}
            value={filters.priceMax}
            onChange={(event) => onChange({ priceMax: event.target.value })}
          />
        </label>
        <label className="flex min-h-10 items-center gap-2">
          <input
            type="checkbox"
            className="size-5 accent-accent"
            checked={filters.free}
            onChange={(event) => onChange({ free: event.target.checked })}
          />
          Seats left only
        </label>
      </div>
    </search>
  );
}

function Results({ filters, onReset }: { filters: Filters; onReset(): void }) {
  const asked = useDeferredValue(filters);
  const query = useMemo(() => queryOf(asked), [asked]);
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetchingNextPage, isPlaceholderData } =
    useInfiniteQuery({
      queryKey: ["shows", query],
      queryFn: ({ pageParam, signal }) =>
        unwrap(
          api.GET("/api/shows", {
            params: {
              query: {
                limit: PAGE_SIZE,
                ...query,
                ...(pageParam && { cursor: pageParam }),
              },
            },
            signal,
          }),
        ),
      initialPageParam: "",
      getNextPageParam: (page) => page.next_cursor ?? undefined,
      placeholderData: keepPreviousData,
      refetchInterval: 15_000, // how full they are changes
    });
  const shows = useMemo(() => data?.pages.flatMap((page) => page.items), [data]);
  useSpokenCount(shows, isPlaceholderData);

  if (error && !data) return <ErrorState error={error} onRetry={refetch} />;
  if (!shows) return <Waiting />;
  if (shows.length === 0 && !hasNextPage) {
    const filtered = [...toParams(filters)].length > 0;
    return filtered ? (
      <EmptyState title="Nothing like that is on" action={<Button onClick={onReset}>Show everything</Button>}>
        Try fewer letters, other days, or a higher price.
      </EmptyState>
    ) : (
      <EmptyState title="Nothing is on yet">As soon as a show or a trip is announced, it is here.</EmptyState>
    );
  }
  return (
    <>
      <ul className="mt-10 grid grid-cols-[repeat(auto-fill,minmax(min(100%,20rem),1fr))] gap-x-8 sm:mt-14">
        {shows.map((show) => (
          <ShowCard key={show.id} show={show} />
        ))}
      </ul>
      {hasNextPage && (
        <div className="mt-12 flex justify-center">
          <Button busy={isFetchingNextPage} onClick={() => fetchNextPage()}>
            Show more
          </Button>
        </div>
      )}
    </>
  );
}

function useSpokenCount(shows: readonly Show[] | undefined, pending: boolean): void {
  const announce = useAnnounce();
  const spoken = useRef<number | undefined>(undefined);
  const found = pending ? undefined : shows?.length;
  useEffect(() => {
    if (found === undefined) return;
    if (spoken.current !== undefined && spoken.current !== found) announce(`${plural(found, "result")}.`);
    spoken.current = found;
  }, [found, announce]);
}

function Waiting() {
  return (
    <Loading label="What is on is being looked up">
      <div className="mt-10 grid grid-cols-[repeat(auto-fill,minmax(min(100%,20rem),1fr))] gap-8 sm:mt-14">
        {Array.from({ length: 6 }, (_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: they are all the same
          <Skeleton key={index} className="h-52" />
        ))}
      </div>
    </Loading>
  );
}

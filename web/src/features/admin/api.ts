/** What the box office asks the server. */
import {
  keepPreviousData,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { api, unwrap } from "@/shared/api/client";
import type { components } from "@/shared/api/schema";
import type { BookingStatus, Show } from "@/shared/api/types";

export type Statistics = components["schemas"]["Statistics"];
export type NewShow = components["schemas"]["NewShow"];
export type ShowChange = components["schemas"]["ShowChange"];

const FILL_MS = 2_000; // how often the list's counts are asked for: what the server keeps them for, and as long again
const STATISTICS_MS = 5_500; // the server keeps a count for 5 seconds: asked again after a change, the next one is of after it
const SHOWS_A_PAGE = 50;
const BOOKINGS_A_PAGE = 25;

export type When = "coming" | "all";

/** Shows with their counts, asked for again and again. */
export function useShows(q: string, when: When) {
  return useInfiniteQuery({
    queryKey: ["admin", "shows", q, when],
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET("/api/shows", {
          params: {
            query: {
              limit: SHOWS_A_PAGE,
              ...(q ? { q } : {}),
              ...(when === "all" ? { starts_after: "1971-01-01T00:00:00Z" } : {}),
              ...(pageParam ? { cursor: pageParam } : {}),
            },
          },
          signal,
        }),
      ),
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: FILL_MS,
    placeholderData: keepPreviousData,
  });
}

export function useShow(id: string) {
  return useQuery({
    queryKey: ["admin", "show", id],
    queryFn: ({ signal }) =>
      unwrap(api.GET("/api/shows/{show_id}", { params: { path: { show_id: id } }, signal })),
    refetchInterval: FILL_MS,
  });
}

export function useLayout(id: string) {
  return useQuery({
    queryKey: ["admin", "layout", id],
    queryFn: ({ signal }) =>
      unwrap(api.GET("/api/shows/{show_id}/layout", { params: { path: { show_id: id } }, signal })),
    staleTime: Number.POSITIVE_INFINITY, // it never changes
  });
}

const askStatistics = (id: string, signal?: AbortSignal) =>
  unwrap(
    api.GET("/api/shows/{show_id}/statistics", {
      params: { path: { show_id: id } },
      ...(signal ? { signal } : {}),
    }),
  );

export function useStatistics(id: string, enabled = true) {
  return useQuery({
    queryKey: ["admin", "statistics", id],
    queryFn: ({ signal }) => askStatistics(id, signal),
    refetchInterval: STATISTICS_MS,
    enabled,
  });
}

export interface BookingFilter {
  q: string;
  seat: string;
  status: BookingStatus | "";
}

export function useBookings(id: string, { q, seat, status }: BookingFilter) {
  return useInfiniteQuery({
    queryKey: ["admin", "bookings", id, q, seat, status],
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET("/api/shows/{show_id}/bookings", {
          params: {
            path: { show_id: id },
            query: {
              limit: BOOKINGS_A_PAGE,
              ...(seat ? { seat } : q ? { q } : {}),
              ...(status ? { status } : {}),
              ...(pageParam ? { cursor: pageParam } : {}),
            },
          },
          signal,
        }),
      ),
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
  });
}

/** A change; whatever comes of it, what the box office shows is asked for anew. */
function useChange<In, Out>(change: (given: In) => Promise<Out>) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSettled: () =>
      Promise.all([
        queries.invalidateQueries({
          queryKey: ["admin"],
          predicate: ({ queryKey }) => queryKey[1] !== "layout",
        }),
        queries.invalidateQueries({ queryKey: ["shows"] }),
      ]),
  });
}

export const useCreateShow = () =>
  useChange((body: NewShow) => unwrap(api.POST("/api/shows", { body })) as Promise<Show>);

export const useEditShow = (id: string) =>
  useChange((body: ShowChange) =>
    unwrap(api.PATCH("/api/shows/{show_id}", { params: { path: { show_id: id } }, body })),
  );

export const useCancelShow = (id: string) =>
  useChange(() => unwrap(api.POST("/api/shows/{show_id}/cancel", { params: { path: { show_id: id } } })));

export const useSetAside = (id: string) =>
  useChange(({ seats, blocked }: { seats: string[]; blocked: boolean }) =>
    unwrap(
      api.POST(blocked ? "/api/shows/{show_id}/block" : "/api/shows/{show_id}/unblock", {
        params: { path: { show_id: id } },
        body: { seats },
      }),
    ),
  );

export interface Customer {
  name: string;
  email: string;
}

export const useBookFor = (id: string) =>
  useChange(({ seats, customer, key }: { seats: string[]; customer: Customer; key: string }) =>
    unwrap(
      api.POST("/api/shows/{show_id}/bookings", {
        params: { path: { show_id: id }, header: { "Idempotency-Key": key } },
        body: {
          seats,
          user_id: customer.email || customer.name,
          customer_name: customer.name,
          ...(customer.email ? { email: customer.email } : {}),
        },
      }),
    ),
  );

export const useCancelBooking = () =>
  useChange((booking_id: string) =>
    unwrap(api.POST("/api/bookings/{booking_id}/cancel", { params: { path: { booking_id } } })),
  );

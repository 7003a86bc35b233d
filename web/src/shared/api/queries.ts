/** What several pages ask for. */
import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/shared/api/client";

export const showQuery = (id: number) =>
  queryOptions({
    queryKey: ["show", id],
    queryFn: ({ signal }) =>
      unwrap(api.GET("/api/shows/{show_id}", { params: { path: { show_id: String(id) } }, signal })),
  });

/** A layout never changes; but another database at the same address has other halls, so the browser asks about its own. */
export const layoutQuery = (id: number) =>
  queryOptions({
    queryKey: ["layout", id],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET("/api/shows/{show_id}/layout", {
          params: { path: { show_id: String(id) } },
          cache: "no-cache",
          signal,
        }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const bookingQuery = (id: string) =>
  queryOptions({
    queryKey: ["booking", id],
    queryFn: ({ signal }) =>
      unwrap(api.GET("/api/bookings/{booking_id}", { params: { path: { booking_id: id } }, signal })),
  });

import { queryOptions } from "@tanstack/react-query";
import { api, unwrap } from "@/shared/api/client";

interface Which {
  showId?: number;
  cursor?: string;
}

/** The visitor's own bookings, newest first; not asked for while nobody is signed in. */
export const myBookingsQuery = (userId: string | undefined, { showId, cursor }: Which = {}) =>
  queryOptions({
    queryKey: ["bookings", userId ?? null, showId ?? null, cursor ?? null],
    queryFn: ({ signal }) =>
      unwrap(
        api.GET("/api/bookings", {
          params: {
            query: {
              ...(userId !== undefined && { user_id: userId }),
              ...(showId !== undefined && { show_id: showId }),
              ...(cursor !== undefined && { cursor }),
            },
          },
          signal,
        }),
      ),
    enabled: userId !== undefined,
  });

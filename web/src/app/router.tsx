import { createBrowserRouter } from "react-router";
import { NotFound } from "@/app/not-found";
import { PageError } from "@/app/page-error";
import { Shell } from "@/app/shell";
import { ShowsPage } from "@/features/shows/shows-page";

function Nothing() {
  return null;
}

/** The pages. All but the first come when they are wanted. */
export function createRouter() {
  return createBrowserRouter([
    {
      Component: Shell,
      ErrorBoundary: PageError,
      HydrateFallback: Nothing,
      children: [
        {
          ErrorBoundary: PageError,
          children: [
            { index: true, Component: ShowsPage },
            { path: "booking/:id", lazy: () => import("@/features/booking/booking-route") },
            { path: "bookings", lazy: () => import("@/features/booking/bookings-route") },
            { path: "bookings/:id", lazy: () => import("@/features/booking/ticket-route") },
            { path: "admin/*", lazy: () => import("@/features/admin/routes") },
            { path: "*", Component: NotFound },
          ],
        },
      ],
    },
  ]);
}

import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { domAnimation, LazyMotion, MotionConfig } from "motion/react";
import { RouterProvider } from "react-router/dom";
import { createRouter } from "@/app/router";
import { SessionProvider } from "@/app/session";
import { isPassing } from "@/shared/api/problems";
import { Announcer } from "@/shared/ui/announcer";
import { Toasts } from "@/shared/ui/toast";

/** A read is tried again where that can help; a write never by itself (see features/booking/attempt.ts). */
const READ_RETRIES_MAX = 2;

const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      retry: (failures, error) => failures < READ_RETRIES_MAX && isPassing(error),
      networkMode: "always", // the browser's idea of being online says nothing of a server on this machine
    },
    mutations: { networkMode: "always" },
  },
});
const router = createRouter();

/** Everything that the pages stand on, from the outside in. */
export function Providers() {
  return (
    <QueryClientProvider client={queryClient}>
      <LazyMotion features={domAnimation} strict>
        <MotionConfig reducedMotion="user">
          <Announcer>
            <Toasts>
              <SessionProvider>
                <RouterProvider router={router} />
              </SessionProvider>
            </Toasts>
          </Announcer>
        </MotionConfig>
      </LazyMotion>
    </QueryClientProvider>
  );
}

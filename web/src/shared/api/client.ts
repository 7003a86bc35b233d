/** The typed client. What the server refuses, and what never reached it, is thrown as an ApiError. */
import createClient, { type Middleware } from "openapi-fetch";
import { ApiError } from "@/shared/api/problems";
import type { paths } from "@/shared/api/schema";
import { serverClock } from "@/shared/api/server-clock";

const sentAt = new WeakMap<Request, number>();

/** Every answer tells the server's time; see server-clock.ts. */
const clockwork: Middleware = {
  onRequest({ request }) {
    sentAt.set(request, performance.now());
    return undefined;
  },
  onResponse({ request, response }) {
    const sent = sentAt.get(request);
    const date = response.headers.get("Date");
    if (sent !== undefined && date) serverClock.hear(Date.parse(date), 1_000, sent, performance.now());
    return undefined;
  },
};

export const api = createClient<paths>({
  baseUrl: window.location.origin,
  fetch: (request) => globalThis.fetch(request), // looked up late, so that a test can stand in for it
});
api.use(clockwork);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The data of an answer, or an ApiError. Also turns "no answer at all" into one. */
export async function unwrap<T>(asking: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await asking;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw ApiError.noAnswer(cause);
  }
  if (!answer.response.ok) throw ApiError.of(answer.response, answer.error);
  return answer.data as T;
}

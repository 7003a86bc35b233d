/** What went wrong, by its code, and in words for a person. */
import type { components } from "@/shared/api/schema";

export type Problem = components["schemas"]["Problem"];
export type ProblemCode = Problem["code"];

/** A refusal of the server's; `no_answer` where nothing came back, so that nobody knows what the server did. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  private constructor(
    readonly code: ProblemCode | "no_answer",
    readonly status: number,
    readonly problem: Problem | null,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  static noAnswer(cause: unknown): ApiError {
    return new ApiError("no_answer", 0, null, "no answer came", { cause });
  }

  /** The server has the request, and has not come to it yet. */
  static undecided(): ApiError {
    return new ApiError("busy", 202, null, "queued");
  }

  static of(response: Response, body: unknown): ApiError {
    const problem = isProblem(body) ? body : null;
    const code = problem?.code ?? (response.status >= 500 ? "busy" : "internal_error"); // a proxy's own page
    return new ApiError(code, response.status, problem, problem?.detail ?? `status ${response.status}`);
  }
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "code" in body && "detail" in body;
}

/** Whether the same request, a little later, may fare better: it says nothing of what the last one did. */
export function isPassing(error: unknown): boolean {
  return error instanceof ApiError && ["no_answer", "busy", "rate_limited"].includes(error.code);
}

/** What is said of an error: a short line, and what to do about it. Never a number. */
export interface Said {
  title: string;
  hint: string;
}

const WORDS: Record<ApiError["code"], Said> = {
  no_answer: {
    title: "We can't reach the box office",
    hint: "The connection may be gone. Nothing is lost: try again when it is back.",
  },
  busy: { title: "A great many people are here right now", hint: "Give it a moment, then try again." },
  rate_limited: { title: "That was a little fast", hint: "Wait a minute, then try again." },
  unauthenticated: { title: "Please tell us who you are", hint: "Sign in, and it goes on from here." },
  forbidden: { title: "This isn't yours to do", hint: "Sign in as somebody who may." },
  not_found: { title: "We can't find that", hint: "It may be gone, or belong to somebody else." },
  seats_taken: { title: "Somebody was faster", hint: "Nothing was booked. Choose other seats." },
  not_enough_seats: { title: "There aren't so many seats left", hint: "Try fewer, or another category." },
  hold_expired: { title: "The time for these seats is over", hint: "They went back on sale. Choose again." },
  wrong_state: { title: "That isn't possible any more", hint: "Things have changed since; look again." },
  show_cancelled: { title: "This has been cancelled", hint: "No seats are sold for it any more." },
  not_on_sale: { title: "Not on sale yet", hint: "Come back when the sale begins." },
  dropped: { title: "This request was given up", hint: "Nothing was booked. Choose your seats again." },
  too_many_holds: {
    title: "You hold as much as one person may",
    hint: "Book or release what you hold, or choose other seats.",
  },
  too_many_seats: { title: "That's more seats than one booking may have", hint: "Choose fewer." },
  idempotency_key_reused: { title: "That didn't work out", hint: "Choose your seats again." },
  invalid_request: { title: "Something in there isn't right", hint: "Look over what you entered." },
  internal_error: { title: "Something broke at our end", hint: "Try again in a moment." },
  method_not_allowed: { title: "That isn't possible here", hint: "Load the page again." },
  body_too_large: { title: "That's too much at once", hint: "Try with less." },
  unsupported_media_type: { title: "That isn't possible here", hint: "Load the page again." },
};

/** Words for an error. Where the server's own sentence tells more (which seat, which field), it is the hint. */
export function say(error: unknown): Said {
  if (!(error instanceof ApiError)) return WORDS.internal_error;
  const words = WORDS[error.code];
  const fields = error.problem?.errors?.map(({ field, message }) => `${field} ${message}`).join("; ");
  if (error.code === "invalid_request" && fields) return { ...words, hint: `${fields}.` };
  const tellsMore = ["seats_taken", "not_enough_seats", "too_many_seats", "wrong_state"].includes(error.code);
  return tellsMore && error.problem ? { ...words, hint: error.problem.detail } : words;
}

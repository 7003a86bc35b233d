import { ArrowLeft } from "lucide-react";
import { type FormEvent, useDeferredValue, useMemo, useRef, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import { useSession } from "@/app/session";
import { buildHall } from "@/features/seat-map/hall";
import { SeatMap } from "@/features/seat-map/seat-map";
import { SeatStatuses } from "@/features/seat-map/statuses";
import type { Layout, Show } from "@/shared/api/types";
import { Button } from "@/shared/ui/button";
import { Field, Select } from "@/shared/ui/field";
import { plural } from "@/shared/ui/format";
import { usePage } from "@/shared/ui/page";
import { EmptyState, ErrorState, Loading, Skeleton } from "@/shared/ui/states";
import { useToast } from "@/shared/ui/toast";
import { type NewShow, useCreateShow, useLayout, useShow } from "./api";
import {
  cents,
  compile,
  currencyDigits,
  numberedLayout,
  preset,
  SEATS_MAX,
  spellOut,
  wholeNumber,
} from "./draft";
import { HallEditor } from "./hall-editor";
import { emptyForm, formOf, readForm, refusalOf, ShowFields } from "./show-fields";

type Seats = "numbered" | "hall" | "like";
type Kind = "show" | "trip";

/** A new show: of so many seats, of a hall that is typed in, or with the seats of another. */
export function NewShowPage() {
  const [params] = useSearchParams();
  const like = params.get("like");
  const { isAdmin } = useSession();
  if (!isAdmin)
    return <EmptyState title="Only admins make shows">You can see how shows sell, and who comes.</EmptyState>;
  return like ? <Like id={like} /> : <Maker like={null} likeLayout={null} />;
}

function Like({ id }: { id: string }) {
  const show = useShow(id);
  const layout = useLayout(id);
  const error = show.error ?? layout.error;
  if (error && !show.data) return <ErrorState error={error} level={1} />;
  if (!show.data || !layout.data) {
    return (
      <Loading label="Loading the show">
        <Skeleton className="m-6 h-96" />
      </Loading>
    );
  }
  return <Maker like={show.data} likeLayout={layout.data} />;
}

const CURRENCIES = [
  "EUR",
  "USD",
  "GBP",
  "CHF",
  "SEK",
  "NOK",
  "DKK",
  "PLN",
  "CZK",
  "HUF",
  "JPY",
  "INR",
  "CAD",
  "AUD",
];
const DEMO_SEATS = "120";

function Maker({ like, likeLayout }: { like: Show | null; likeLayout: Layout | null }) {
  const heading = usePage(like ? "Duplicate a show" : "New show");
  const navigate = useNavigate();
  const toast = useToast();
  const create = useCreateShow();
  const element = useRef<HTMLFormElement>(null);
  const [form, setForm] = useState(() => (like ? formOf(like, 7) : emptyForm()));
  const [kind, setKind] = useState<Kind>(like?.kind ?? "show");
  const [seats, setSeats] = useState<Seats>(like ? "like" : "numbered");
  const [total, setTotal] = useState(DEMO_SEATS);
  const [price, setPrice] = useState("0");
  const [currency, setCurrency] = useState(like?.currency ?? "EUR");
  const [draft, setDraft] = useState(() => preset("theatre"));
  const [tried, setTried] = useState(false);

  const compiled = useMemo(() => compile(draft, currency), [draft, currency]);
  const count = wholeNumber(total, 1, SEATS_MAX);
  const priceCents = cents(price, currencyDigits(currency));
  const { values, errors } = readForm(form);
  const refusal = refusalOf(create.error);
  const hallErrors = Object.keys(compiled.errors.fields).length + (compiled.errors.whole ? 1 : 0);
  const seatsWrong =
    seats === "hall" ? hallErrors > 0 : seats === "numbered" && (count === null || priceCents === null);

  const layout = useMemo(() => {
    if (seats === "like") return likeLayout;
    return seats === "hall" ? spellOut(compiled) : numberedLayout(count ?? 0);
  }, [seats, likeLayout, compiled, count]);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (Object.keys(errors).length > 0 || seatsWrong) {
      // After the messages are there: to the first field that has one.
      requestAnimationFrame(() => element.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus());
      return;
    }
    const body = {
      ...values,
      kind,
      ...(kind === "trip"
        ? { origin: form.origin.trim() || null, destination: form.destination.trim() || null }
        : {}),
      ...(seats === "like" && like
        ? { layout_of: like.id }
        : seats === "hall"
          ? { currency, layout: compiled.layout, categories: compiled.categories }
          : {
              currency,
              total_seats: count ?? 0,
              categories: [{ name: "Standard", price_cents: priceCents ?? 0, color: null }],
            }),
    } satisfies Partial<NewShow>;
    create.mutate(body as NewShow, {
      onSuccess: (show) => {
        toast({ text: `${show.name} is made, with ${plural(show.total_seats, "seat")}.` });
        void navigate(`/admin/shows/${show.id}`);
      },
    });
  };

  return (
    <form
      ref={element}
      noValidate
      onSubmit={submit}
      className="mx-auto grid w-full max-w-[100rem] gap-x-12 gap-y-8 px-4 py-8 sm:px-6 lg:grid-cols-[minmax(0,38rem)_minmax(0,1fr)] lg:grid-rows-[auto_1fr]"
    >
      <div className="flex flex-col gap-10">
        <header className="flex flex-col gap-2">
          <Link
            to={like ? `/admin/shows/${like.id}` : "/admin"}
            className="inline-flex items-center gap-1.5 text-sm text-soft hover:text-ink"
          >
            <ArrowLeft size={16} aria-hidden /> {like ? like.name : "Box office"}
          </Link>
          <h1 ref={heading} tabIndex={-1} className="text-2xl">
            {like ? "The same hall, another night" : "A new show"}
          </h1>
        </header>
        <section className="flex flex-col gap-5">
          <h2 className="text-xl">What it is</h2>
          {!like && (
            <Choice
              legend="Kind"
              value={kind}
              choices={[
                ["show", "A show"],
                ["trip", "A trip"],
              ]}
              onChoose={(chosen) => {
                setKind(chosen);
                if (seats === "hall") setDraft(preset(chosen === "trip" ? "coach" : "theatre"));
              }}
            />
          )}
          <ShowFields
            form={form}
            kind={kind}
            errors={tried ? { ...errors, ...refusal.fields } : {}}
            onChange={(change) => setForm((before) => ({ ...before, ...change }))}
          />
        </section>
        <section className="flex flex-col gap-5">
          <h2 className="text-xl">Its seats</h2>
          <Choice
            legend="Seats"
            value={seats}
            choices={[
              ...(like ? ([["like", `As ${like.name}`]] as const) : []),
              ["numbered", "Only numbered"],
              ["hall", "A hall with sections"],
            ]}
            onChoose={(chosen) => {
              setSeats(chosen);
              if (chosen === "hall" && kind === "trip") setDraft(preset("coach"));
            }}
          />
          {seats !== "like" && (
            <div className="w-32">
              <Select label="Currency" value={currency} onChange={(event) => setCurrency(event.target.value)}>
                {[...new Set([currency, ...CURRENCIES])].map((code) => (
                  <option key={code}>{code}</option>
                ))}
              </Select>
            </div>
          )}
          {seats === "numbered" && (
            <div className="grid grid-cols-2 gap-4">
              <Field
                label="Number of seats"
                inputMode="numeric"
                value={total}
                error={count === null ? "A whole number, 1 to 100,000." : undefined}
                onChange={(event) => setTotal(event.target.value)}
              />
              <Field
                label={`Price of a seat, ${currency}`}
                inputMode="decimal"
                value={price}
                error={priceCents === null ? "A price such as 12.50." : undefined}
                onChange={(event) => setPrice(event.target.value)}
              />
            </div>
          )}
          {seats === "hall" && (
            <HallEditor draft={draft} errors={compiled.errors} currency={currency} onChange={setDraft} />
          )}
          {seats === "like" && (
            <p className="measure text-soft">
              The same seats, prices and colours. What was taken off sale there is on sale here.
            </p>
          )}
        </section>
      </div>
      {layout && <Preview layout={layout} kind={kind} currency={currency} />}
      <footer className="flex flex-col gap-3 self-start border-t border-line pt-6 lg:col-start-1">
        {refusal.rest && (
          <p role="alert" className="font-[560] text-accent">
            {refusal.rest}
          </p>
        )}
        {tried && (Object.keys(errors).length > 0 || seatsWrong) && (
          <p role="alert" className="text-sm font-[560] text-accent">
            Some fields are not right yet.
          </p>
        )}
        <Button type="submit" tone="accent" size="large" busy={create.isPending} className="self-start">
          {like ? "Make this show too" : "Make this show"}
        </Button>
      </footer>
    </form>
  );
}

/** The map as it will be; it follows what is typed, a moment behind where a hall is large. */
function Preview({ layout, kind, currency }: { layout: Layout; kind: Kind; currency: string }) {
  const later = useDeferredValue(layout);
  const [hall, statuses] = useMemo(() => {
    const built = buildHall(later, kind);
    const free = new SeatStatuses(built.labels.length);
    free.replace(0, "A".repeat(built.labels.length)); // the map waits until it has heard of its seats
    return [built, free] as const;
  }, [later, kind]);
  return (
    <aside
      aria-label="Preview"
      className="flex min-w-0 flex-col gap-3 lg:row-span-2 lg:sticky lg:top-6 lg:h-[calc(100dvh-7rem)]"
    >
      <p className="flex items-baseline justify-between gap-4">
        <span className="eyebrow">Preview</span>
        <span className="tabular text-sm" role="status">
          {plural(hall.labels.length, "seat")}
        </span>
      </p>
      {hall.labels.length > 0 ? (
        <SeatMap
          hall={hall}
          statuses={statuses}
          currency={currency}
          label="Seat map of the new show"
          className="h-96 shrink-0 rounded-md border border-line lg:h-auto lg:flex-1"
        />
      ) : (
        <p className="flex h-96 items-center justify-center rounded-md border border-dashed border-edge text-soft">
          The map comes when there are seats.
        </p>
      )}
    </aside>
  );
}

interface ChoiceProps<T extends string> {
  legend: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  onChoose(value: T): void;
}

function Choice<T extends string>({ legend, value, choices, onChoose }: ChoiceProps<T>) {
  return (
    <fieldset className="flex flex-wrap gap-2">
      <legend className="sr-only">{legend}</legend>
      {choices.map(([choice, words]) => (
        <label
          key={choice}
          className="inline-flex min-h-11 max-w-full cursor-pointer items-center rounded-md border border-edge bg-raised px-4 text-sm font-[560] has-checked:border-ink has-checked:bg-ink has-checked:text-paper has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent"
        >
          <input
            type="radio"
            name={legend}
            className="sr-only"
            checked={value === choice}
            onChange={() => onChoose(choice)}
          />
          <span className="truncate">{words}</span>
        </label>
      ))}
    </fieldset>
  );
}

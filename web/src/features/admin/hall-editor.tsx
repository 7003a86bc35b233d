/** Sections, rows, aisles, prices: a hall as it is typed in. */
import { ArrowDown, ArrowUp, Plus, Trash2 } from "lucide-react";
import { Button } from "@/shared/ui/button";
import { Field, Select } from "@/shared/ui/field";
import {
  type CategoryDraft,
  type DraftErrors,
  type HallDraft,
  newCategory,
  newSection,
  type Preset,
  preset,
  rowAfter,
  type SectionDraft,
} from "./draft";

const COLORS = ["#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#f0e442"];
const CATEGORIES_MAX = 255;
const PRESETS: [Preset, string][] = [
  ["theatre", "Theatre"],
  ["cinema", "Cinema"],
  ["coach", "Coach"],
];

interface EditorProps {
  draft: HallDraft;
  errors: DraftErrors;
  currency: string;
  onChange(draft: HallDraft): void;
}

export function HallEditor({ draft, errors, currency, onChange }: EditorProps) {
  const { categories, sections } = draft;
  const setCategory = (id: string, change: Partial<CategoryDraft>) =>
    onChange({
      ...draft,
      categories: categories.map((one) => (one.id === id ? { ...one, ...change } : one)),
    });
  const setSection = (id: string, change: Partial<SectionDraft>) =>
    onChange({ ...draft, sections: sections.map((one) => (one.id === id ? { ...one, ...change } : one)) });
  const move = (index: number, by: 1 | -1) => {
    const moved = [...sections];
    const [section] = moved.splice(index, 1);
    if (section) moved.splice(index + by, 0, section);
    onChange({ ...draft, sections: moved });
  };
  return (
    <div className="flex flex-col gap-8">
      <div className="flex flex-wrap items-center gap-2">
        <span className="text-sm text-soft">Begin with a</span>
        {PRESETS.map(([kind, name]) => (
          <Button key={kind} size="small" onClick={() => onChange(preset(kind))}>
            {name}
          </Button>
        ))}
      </div>
      <fieldset className="flex flex-col gap-3">
        <legend className="title mb-3 text-lg">Prices</legend>
        {categories.map((category, index) => (
          <div key={category.id} className="flex items-start gap-2">
            <input
              type="color"
              aria-label={`Colour of ${category.name || `price ${index + 1}`}`}
              className="mt-7 h-11 w-11 shrink-0 rounded-md border border-edge bg-raised p-1"
              value={category.color}
              onChange={(event) => setCategory(category.id, { color: event.target.value })}
            />
            <div className="min-w-0 flex-1">
              <Field
                label="Called"
                autoComplete="off"
                value={category.name}
                error={errors.fields[`${category.id}.name`]}
                onChange={(event) => setCategory(category.id, { name: event.target.value })}
              />
            </div>
            <div className="w-28">
              <Field
                label={`Price, ${currency}`}
                inputMode="decimal"
                autoComplete="off"
                className="tabular text-right"
                value={category.price}
                error={errors.fields[`${category.id}.price`]}
                onChange={(event) => setCategory(category.id, { price: event.target.value })}
              />
            </div>
            <Button
              tone="quiet"
              className="mt-7 px-3"
              aria-label={`Remove the price ${category.name || index + 1}`}
              disabled={categories.length === 1}
              onClick={() => onChange({ ...draft, categories: categories.filter((one) => one !== category) })}
            >
              <Trash2 size={18} aria-hidden />
            </Button>
          </div>
        ))}
        <Button
          className="self-start"
          disabled={categories.length >= CATEGORIES_MAX}
          onClick={() =>
            onChange({
              ...draft,
              categories: [...categories, newCategory("", "", COLORS[categories.length % COLORS.length])],
            })
          }
        >
          <Plus size={18} aria-hidden /> Another price
        </Button>
      </fieldset>
      <fieldset className="flex flex-col gap-6">
        <legend className="title mb-3 text-lg">Sections, from front to back</legend>
        {errors.whole && <p className="text-sm font-[560] text-accent">{errors.whole}</p>}
        {sections.map((section, index) => (
          <SectionFields
            key={section.id}
            section={section}
            categories={categories}
            errors={errors}
            onChange={(change) => setSection(section.id, change)}
            {...(index > 0 ? { onUp: () => move(index, -1) } : {})}
            {...(index < sections.length - 1 ? { onDown: () => move(index, 1) } : {})}
            {...(sections.length > 1
              ? {
                  onRemove: () => onChange({ ...draft, sections: sections.filter((one) => one !== section) }),
                }
              : {})}
          />
        ))}
        <Button
          className="self-start"
          onClick={() =>
            onChange({
              ...draft,
              sections: [
                ...sections,
                newSection({
                  name: `Section ${sections.length + 1}`,
                  firstRow: rowAfter(sections.at(-1)),
                  category: categories.at(-1)?.id ?? "",
                }),
              ],
            })
          }
        >
          <Plus size={18} aria-hidden /> Another section
        </Button>
      </fieldset>
    </div>
  );
}

interface SectionProps {
  section: SectionDraft;
  categories: readonly CategoryDraft[];
  errors: DraftErrors;
  onChange(change: Partial<SectionDraft>): void;
  onUp?(): void;
  onDown?(): void;
  onRemove?(): void;
}

function SectionFields({ section, categories, errors, onChange, onUp, onDown, onRemove }: SectionProps) {
  const field = (name: keyof SectionDraft) => ({
    value: section[name],
    error: errors.fields[`${section.id}.${name}`],
    autoComplete: "off",
    onChange: (event: { target: { value: string } }) => onChange({ [name]: event.target.value }),
  });
  const called = section.name || "this section";
  return (
    <fieldset className="border-l-2 border-line pl-4">
      <legend className="sr-only">Section {section.name}</legend>
      <div className="grid grid-cols-2 items-start gap-x-3 gap-y-4 sm:grid-cols-4">
        <div className="col-span-2">
          <Field label="Section" {...field("name")} />
        </div>
        <div className="col-span-2 flex items-end gap-1">
          <div className="min-w-0 flex-1">
            <Select label="Price" {...field("category")}>
              {categories.map((category) => (
                <option key={category.id} value={category.id}>
                  {category.name || "(no name yet)"}
                </option>
              ))}
            </Select>
          </div>
          <Button
            tone="quiet"
            className="px-2.5"
            aria-label={`Move ${called} forward`}
            disabled={!onUp}
            onClick={onUp}
          >
            <ArrowUp size={18} aria-hidden />
          </Button>
          <Button
            tone="quiet"
            className="px-2.5"
            aria-label={`Move ${called} back`}
            disabled={!onDown}
            onClick={onDown}
          >
            <ArrowDown size={18} aria-hidden />
          </Button>
          <Button
            tone="quiet"
            className="px-2.5"
            aria-label={`Remove ${called}`}
            disabled={!onRemove}
            onClick={onRemove}
          >
            <Trash2 size={18} aria-hidden />
          </Button>
        </div>
        <Field label="First row" {...field("firstRow")} />
        <Field label="Rows" inputMode="numeric" {...field("rows")} />
        <Field label="Seats in it" inputMode="numeric" {...field("seats")} />
        <Field label="More each row" inputMode="numeric" {...field("widening")} />
        <div className="col-span-2">
          <Field label="Aisles after seats" placeholder="6, 18" {...field("aisles")} />
        </div>
        <div className="col-span-2">
          <Field label="Wheelchair places" placeholder="A-1, A-2" {...field("accessible")} />
        </div>
      </div>
    </fieldset>
  );
}

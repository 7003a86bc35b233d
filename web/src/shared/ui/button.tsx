import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";
import { Link, type LinkProps } from "react-router";

export type Tone = "accent" | "plain" | "quiet" | "danger";
export type Size = "small" | "medium" | "large";

const TONES: Record<Tone, string> = {
  accent: "bg-accent text-on-accent hover:bg-accent-strong",
  plain: "border border-edge bg-raised text-ink hover:border-ink",
  quiet: "text-ink hover:bg-sunk",
  danger: "border border-accent bg-raised text-accent hover:bg-accent-wash",
};
const SIZES: Record<Size, string> = {
  small: "min-h-8 px-2.5 text-sm gap-1.5",
  medium: "min-h-11 px-4 text-base gap-2",
  large: "min-h-13 px-6 text-base gap-2.5",
};
const SHAPE =
  "inline-flex items-center justify-center rounded-md font-[560] whitespace-nowrap transition-colors duration-150 " +
  "disabled:opacity-55 disabled:cursor-not-allowed aria-disabled:opacity-55";

export function buttonClass(tone: Tone = "plain", size: Size = "medium", more = ""): string {
  return `${SHAPE} ${TONES[tone]} ${SIZES[size]} ${more}`;
}

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  tone?: Tone;
  size?: Size;
  /** Says that work is under way; the button keeps its place and its focus, and takes no second press. */
  busy?: boolean;
  ref?: Ref<HTMLButtonElement>;
}

export function Button({ tone, size, busy = false, className, onClick, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      aria-busy={busy || undefined}
      aria-disabled={busy || undefined}
      className={buttonClass(tone, size, className)}
      onClick={busy ? (event) => event.preventDefault() : onClick}
      {...rest}
    />
  );
}

interface LinkButtonProps extends LinkProps {
  tone?: Tone;
  size?: Size;
  children: ReactNode;
}

export function LinkButton({ tone, size, className, ...rest }: LinkButtonProps) {
  return <Link className={buttonClass(tone, size, className)} {...rest} />;
}

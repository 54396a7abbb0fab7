// The button of every view.
import type { ButtonHTMLAttributes } from 'react';
import './button.css';

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  primary?: boolean;
  danger?: boolean;
  busy?: boolean;
};

export function Button({ primary, danger, busy, className, disabled, children, ...rest }: ButtonProps) {
  const names = ['imgcls-button', primary && 'imgcls-primary', danger && 'imgcls-danger', className];
  return (
    <button
      type="button"
      className={names.filter(Boolean).join(' ')}
      disabled={disabled || busy}
      aria-busy={busy}
      {...rest}
    >
      {children}
    </button>
  );
}

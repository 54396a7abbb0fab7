// A part of the panel at the left, with a title.
import type { ReactNode } from 'react';
import './sidebar_section.css';

export function Section({
  title,
  aside,
  children,
}: {
  title: string;
  aside?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section aria-label={title}>
      <h2 className="imgcls-side-title">
        {title}
        <span className="imgcls-num">{aside}</span>
      </h2>
      {children}
    </section>
  );
}

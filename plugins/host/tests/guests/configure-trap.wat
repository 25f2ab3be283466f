;; Traps on its settings.
;;; configure
unreachable

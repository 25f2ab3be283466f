;; Does not say who it is.
;;; describe
unreachable

;; Ends every pick in a trap.
;;; pick
unreachable

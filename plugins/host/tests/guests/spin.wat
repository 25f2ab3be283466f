;; Never ends.
;;; pick
(loop $ever (br $ever))
unreachable
